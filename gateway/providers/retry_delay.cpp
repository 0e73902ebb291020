#include "gateway/providers/retry_delay.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

namespace holdfast::provider {

namespace {

constexpr std::int64_t kMaxRetryAfterMs = 86400000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

std::string_view header(const HttpAnswer& answer, const char* name) {
  const auto found = answer.headers.find(name);
  return found == answer.headers.end() ? std::string_view() : trim(found->second);
}

// Digits with an optional fraction, taken from the front. No locale, no exponent. Digits finer than
// what a double holds add nothing.
std::optional<double> take_decimal(std::string_view& text) {
  constexpr double kFinest = 1e15;
  double value = 0;
  double scale = 1;
  bool any = false;
  bool fraction = false;
  while (!text.empty() && (is_digit(text.front()) || (text.front() == '.' && !fraction))) {
    if (text.front() == '.') {
      fraction = true;
    } else if (scale < kFinest) {
      any = true;
      value = value * 10 + (text.front() - '0');
      if (fraction) scale *= 10;
    }
    text.remove_prefix(1);
  }
  if (!any) return std::nullopt;
  return value / scale;
}

std::optional<double> take_unit_ms(std::string_view& text) {
  constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
      {{"ms", 1}, {"us", 0.001}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}}};
  for (const auto& [name, unit_ms] : kUnits) {
    if (text.substr(0, name.size()) != name) continue;
    text.remove_prefix(name.size());
    return unit_ms;
  }
  return std::nullopt;
}

int bounded_ms(double value_ms) {
  return static_cast<int>(std::ceil(std::min(value_ms, static_cast<double>(kMaxRetryAfterMs))));
}

std::optional<int> number_ms(std::string_view text, double unit_ms) {
  const std::optional<double> value = take_decimal(text);
  if (!value || !text.empty()) return std::nullopt;
  return bounded_ms(*value * unit_ms);
}

// From the answer's own Date: clocks differ, and adapters have none.
std::optional<int> until_ms(const HttpAnswer& answer, std::optional<std::int64_t> due) {
  const auto now = parse_http_date(header(answer, "date"));
  if (!due || !now) return std::nullopt;
  return bounded_ms(static_cast<double>(std::max<std::int64_t>(0, *due - *now)) * 1000.0);
}

// A bare number in a reset header: seconds from now, or a moment in Unix seconds or milliseconds.
std::optional<int> bare_number_ms(const HttpAnswer& answer, std::string_view text) {
  constexpr double kUnixSeconds = 1e9;
  constexpr double kUnixMilliseconds = 1e12;
  constexpr double kLatest = 1e15;
  const std::optional<double> value = take_decimal(text);
  if (!value || !text.empty() || *value > kLatest) return std::nullopt;
  if (*value < kUnixSeconds) return bounded_ms(*value * 1000);
  const double seconds = *value < kUnixMilliseconds ? *value : std::ceil(*value / 1000);
  return until_ms(answer, static_cast<std::int64_t>(seconds));
}

std::optional<int> reset_value_ms(const HttpAnswer& answer, std::string_view text) {
  if (const auto value_ms = parse_duration_ms(text)) return value_ms;
  if (const auto value_ms = bare_number_ms(answer, text)) return value_ms;
  return until_ms(answer, parse_rfc3339(text));
}

// A pair of headers of one limit: what remains of it, and when it is whole again.
struct LimitHeaders {
  const char* remaining;
  const char* reset;
};

constexpr std::array<LimitHeaders, 7> kLimits = {{
    {"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
    {"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
    {"x-ratelimit-remaining", "x-ratelimit-reset"},
    {"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
    {"anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
    {"anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"},
    {"anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"},
}};

// The longest reset of the limits that are used up; of all limits when none says it is.
std::optional<int> reset_ms(const HttpAnswer& answer) {
  std::optional<int> used_up;
  std::optional<int> any;
  for (const LimitHeaders& limit : kLimits) {
    const auto reset = reset_value_ms(answer, header(answer, limit.reset));
    if (!reset) continue;
    any = std::max(any.value_or(0), *reset);
    if (header(answer, limit.remaining) == "0") used_up = std::max(used_up.value_or(0), *reset);
  }
  return used_up ? used_up : any;
}

// A limit by the minute whose reset no header tells.
constexpr int kMinuteMs = 60000;

struct Moment {
  int year;
  int month;
  int day;
  int hour;
  int minute;
  int second;
};

// Nothing when it is no moment since 1970.
std::optional<std::int64_t> unix_seconds(const Moment& moment) {
  if (moment.month < 1 || moment.month > 12 || moment.day < 1 || moment.day > 31 ||
      moment.year < 1970 || moment.hour < 0 || moment.hour > 23 || moment.minute < 0 ||
      moment.minute > 59 || moment.second < 0 || moment.second > 60)
    return std::nullopt;
  // Days since 1970 in the Gregorian calendar, with years that begin in March.
  const std::int64_t y = moment.month > 2 ? moment.year : moment.year - 1;
  const std::int64_t march_month = moment.month > 2 ? moment.month - 3 : moment.month + 9;
  const std::int64_t day_of_year = (153 * march_month + 2) / 5 + moment.day - 1;
  const std::int64_t days = 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
  return days * 86400 + std::int64_t{moment.hour} * 3600 + std::int64_t{moment.minute} * 60 +
         moment.second;
}

// `Z`, `+02:00` or `-0530`, in seconds east of Greenwich.
std::optional<std::int64_t> zone_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() < 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  std::string digits(text.substr(1));
  if (digits.size() == 5 && digits[2] == ':') digits.erase(2, 1);
  if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(), is_digit))
    return std::nullopt;
  const std::int64_t minutes = std::stoi(digits.substr(0, 2)) * 60 + std::stoi(digits.substr(2));
  return (text[0] == '-' ? -60 : 60) * minutes;
}

} // namespace

std::optional<int> retry_after_ms(const HttpAnswer& answer) {
  if (const auto value_ms = number_ms(header(answer, "retry-after-ms"), 1)) return value_ms;
  const std::string_view retry_after = header(answer, "retry-after");
  if (const auto value_ms = number_ms(retry_after, 1000)) return value_ms;
  if (const auto value_ms = until_ms(answer, parse_http_date(retry_after))) return value_ms;
  return answer.status == 429 ? reset_ms(answer) : std::nullopt;
}

std::optional<int> exhausted_ms(const HttpAnswer& answer) {
  std::optional<int> longest;
  for (const LimitHeaders& limit : kLimits) {
    if (header(answer, limit.remaining) != "0") continue;
    const auto reset = reset_value_ms(answer, header(answer, limit.reset));
    if (reset) longest = std::max(longest.value_or(0), *reset);
  }
  for (const char* name :
       {"x-ratelimit-remaining-req-minute", "x-ratelimit-remaining-tokens-minute"})
    if (header(answer, name) == "0") longest = std::max(longest.value_or(0), kMinuteMs);
  return longest;
}

std::optional<int> parse_duration_ms(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total_ms = 0;
  while (!text.empty()) {
    const auto value = take_decimal(text);
    if (!value) return std::nullopt;
    const auto unit_ms = take_unit_ms(text);
    if (!unit_ms) return std::nullopt;
    total_ms += *value * *unit_ms;
  }
  return bounded_ms(total_ms);
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  constexpr std::size_t kDateBytes = 29;
  if (text.size() != kDateBytes || text.substr(25) != " GMT") return std::nullopt;
  const std::string fields(text.substr(5, 20));
  std::array<char, 4> month_name{};
  int day = 0, year = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(fields.c_str(), "%2d %3s %4d %2d:%2d:%2d", &day, month_name.data(), &year, &hour,
                  &minute, &second) != 6)
    return std::nullopt;
  const std::size_t found = kMonths.find(month_name.data());
  if (found == std::string_view::npos || found % 3 != 0 ||
      std::string_view(month_name.data()).size() != 3)
    return std::nullopt;
  return unix_seconds({year, static_cast<int>(found / 3) + 1, day, hour, minute, second});
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  constexpr std::size_t kSecondsEnd = 19;
  if (text.size() <= kSecondsEnd) return std::nullopt;
  const std::string fields(text.substr(0, kSecondsEnd));
  Moment moment{};
  char separator = 0;
  int read = 0;
  if (std::sscanf(fields.c_str(), "%4d-%2d-%2d%c%2d:%2d:%2d%n", &moment.year, &moment.month,
                  &moment.day, &separator, &moment.hour, &moment.minute, &moment.second,
                  &read) != 7 ||
      read != static_cast<int>(kSecondsEnd) || (separator != 'T' && separator != 't'))
    return std::nullopt;
  std::size_t zone = kSecondsEnd;
  if (text[zone] == '.')
    for (++zone; zone < text.size() && is_digit(text[zone]); ++zone) {
    }
  const auto offset = zone_offset(text.substr(zone));
  const auto seconds = unix_seconds(moment);
  if (!offset || !seconds) return std::nullopt;
  return *seconds - *offset;
}

} // namespace holdfast::provider
