#include "gateway/providers/provider_error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace holdfast::provider {

namespace {

constexpr std::int64_t kMaxRetryAfterMs = 86400000;
constexpr std::size_t kMaxMessageBytes = 1000;
constexpr std::size_t kMaxExcerptBytes = 200;
constexpr std::size_t kMinSecretBytes = 8;
constexpr std::size_t kMinKeyBytes = 8;
constexpr std::string_view kCut = "[redacted]";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_key_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
         c == '*';
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

// Digits with an optional fraction, taken from the front. No locale, no exponent.
std::optional<double> take_decimal(std::string_view& text) {
  double value = 0;
  double scale = 1;
  bool any = false;
  bool fraction = false;
  while (!text.empty() && (is_digit(text.front()) || (text.front() == '.' && !fraction))) {
    if (text.front() == '.') {
      fraction = true;
    } else {
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

std::optional<int> date_ms(const HttpAnswer& answer, std::string_view text) {
  const auto due = parse_http_date(text);
  const auto now = parse_http_date(header(answer, "date"));
  if (!due || !now) return std::nullopt;
  return bounded_ms(static_cast<double>(std::max<std::int64_t>(0, *due - *now)) * 1000.0);
}

// The longest reset of the limits that are used up; of all limits when none says it is.
std::optional<int> reset_ms(const HttpAnswer& answer) {
  std::optional<int> used_up;
  std::optional<int> any;
  for (const std::string limit : {"requests", "tokens"}) {
    const auto reset = parse_duration_ms(header(answer, ("x-ratelimit-reset-" + limit).c_str()));
    if (!reset) continue;
    any = std::max(any.value_or(0), *reset);
    if (header(answer, ("x-ratelimit-remaining-" + limit).c_str()) == "0")
      used_up = std::max(used_up.value_or(0), *reset);
  }
  return used_up ? used_up : any;
}

bool looks_like_key(std::string_view word) {
  if (word.find("***") != std::string_view::npos) return true;
  if (word.size() < kMinKeyBytes) return false;
  constexpr std::array<std::string_view, 7> kPrefixes = {"sk-",  "pk-", "gsk_", "pplx-",
                                                         "AIza", "hf_", "xai-"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) {
    return word.substr(0, prefix.size()) == prefix;
  });
}

// At most `max_bytes`, never in the middle of a UTF-8 character.
std::string_view cut_utf8(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end);
}

} // namespace

ErrorClass classify_status(int status) {
  switch (status) {
  case 401:
  case 403:
    return ErrorClass::auth;
  case 402:
    return ErrorClass::quota_exhausted;
  case 408:
  case 504:
    return ErrorClass::timeout;
  case 409:
  case 503:
  case 529:
    return ErrorClass::overloaded;
  case 429:
    return ErrorClass::rate_limit;
  default:
    return status >= 400 && status < 500 ? ErrorClass::invalid_request : ErrorClass::server;
  }
}

std::optional<int> retry_after_ms(const HttpAnswer& answer) {
  if (const auto value_ms = number_ms(header(answer, "retry-after-ms"), 1)) return value_ms;
  const std::string_view retry_after = header(answer, "retry-after");
  if (const auto value_ms = number_ms(retry_after, 1000)) return value_ms;
  if (const auto value_ms = date_ms(answer, retry_after)) return value_ms;
  return answer.status == 429 ? reset_ms(answer) : std::nullopt;
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
  if (day < 1 || day > 31 || year < 1970 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60)
    return std::nullopt;

  // Days since 1970 in the Gregorian calendar, with years that begin in March.
  const int month = static_cast<int>(found / 3) + 1;
  const std::int64_t y = month > 2 ? year : year - 1;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const std::int64_t days = 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
  return days * 86400 + std::int64_t{hour} * 3600 + std::int64_t{minute} * 60 + second;
}

std::string cut_keys(std::string_view text) {
  std::string cleaned;
  cleaned.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = 0;
    while (length < text.size() && is_key_char(text[length]))
      ++length;
    const std::string_view word = text.substr(0, length);
    cleaned.append(looks_like_key(word) ? kCut : word);
    text.remove_prefix(length);
    if (text.empty()) break;
    cleaned.push_back(text.front());
    text.remove_prefix(1);
  }
  return cleaned;
}

std::string cut_secret(std::string text, const std::string& secret) {
  if (secret.size() < kMinSecretBytes) return text;
  for (std::size_t at = text.find(secret); at != std::string::npos;
       at = text.find(secret, at + kCut.size()))
    text.replace(at, secret.size(), kCut);
  return text;
}

std::string clean_message(std::string_view text) {
  return std::string(cut_utf8(cut_keys(cut_utf8(text, 2 * kMaxMessageBytes)), kMaxMessageBytes));
}

std::string unreadable_body_message(const HttpAnswer& answer) {
  std::string message =
      "The provider answered with status " + std::to_string(answer.status) + " and ";
  if (answer.body.empty()) return message + "no body.";
  std::string excerpt = cut_keys(std::string_view(answer.body).substr(0, kMaxExcerptBytes));
  for (char& c : excerpt)
    if (c < 0x20 || c > 0x7E) c = ' ';
  return message + "a body that is not its JSON: " + excerpt;
}

} // namespace holdfast::provider
