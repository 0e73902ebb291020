// Numbers that identify: cards, US social security numbers, phones.
#include "extension/core/redaction_scan.hpp"

namespace holdfast::redaction {

namespace {

constexpr std::size_t kMostCardDigits = 19;
constexpr std::size_t kMostPhoneDigits = 15;
constexpr std::size_t kLeastPhoneDigits = 9;

constexpr std::string_view kSsnWords[] = {"ssn", "social"};
constexpr std::string_view kPhoneWords[] = {"phone", "telephone", "tel", "mobile",  "cell",
                                            "call",  "fax",       "sms", "whatsapp"};

bool is_joint(char c) {
  return c == '-' || c == '.';
}

// A number does not begin within another, as after 0. or 99-.
bool begins_number(const Scan& scan, std::size_t at) {
  if (!scan.begins_word(at)) return false;
  return at < 2 || !is_joint(scan.before(at)) || !is_digit(scan.before(at - 1));
}

bool ends_number(const Scan& scan, std::size_t end) {
  const char next = scan.at(end);
  return !is_alnum(next) && !(is_joint(next) && is_digit(scan.at(end + 1)));
}

// How many digits stand here, counted to one more than `most`.
std::size_t count_digits(const Scan& scan, std::size_t at, std::size_t most) {
  std::size_t count = 0;
  while (count <= most && is_digit(scan.at(at + count)))
    ++count;
  return count;
}

// The digits of a card, with their check sum by Luhn kept for both parities.
class CardDigits {
public:
  void add(char digit) {
    const int value = digit - '0';
    if (count_ < 4) lead_ = lead_ * 10 + value;
    const int twice = value * 2 > 9 ? value * 2 - 9 : value * 2;
    sums_[count_ % 2] += value;
    sums_[(count_ + 1) % 2] += twice;
    ++count_;
  }
  std::size_t count() const { return count_; }

  // Numbers that an issuer of cards gives out.
  bool is_card() const {
    // The last digit counts once, every other one from there twice.
    return count_ >= 13 && sums_[(count_ + 1) % 2] % 10 == 0 && has_length_of_issuer();
  }

private:
  bool has_length_of_issuer() const {
    const auto within = [&](std::size_t least, std::size_t most) {
      return count_ >= least && count_ <= most;
    };
    const int two = lead_ / 100;
    if (lead_ / 1000 == 4) return count_ == 13 || count_ == 16 || count_ == 19;
    if ((two >= 51 && two <= 55) || (lead_ >= 2221 && lead_ <= 2720)) return count_ == 16;
    if (two == 34 || two == 37) return count_ == 15;
    if (two == 30 || two == 36 || two == 38 || two == 39) return within(14, 16);
    return (two == 35 || two == 50 || two >= 56) && two < 70 && within(16, kMostCardDigits);
  }

  std::size_t count_ = 0;
  int lead_ = 0;
  int sums_[2] = {0, 0};
};

} // namespace

// Digits in one piece, or in groups of which the first has four.
std::size_t card_number(const Scan& scan, std::size_t at) {
  const char first = scan.at(at);
  if (first < '2' || first > '6' || !scan.begins_word(at)) return 0;
  if (scan.before(at) == '.' && at >= 2 && is_digit(scan.before(at - 1))) return 0;
  CardDigits digits;
  std::size_t best = 0;
  for (std::size_t i = at; digits.count() < kMostCardDigits;) {
    const std::size_t group = count_digits(scan, i, kMostCardDigits);
    if (group < 2 || digits.count() + group > kMostCardDigits) break;
    for (std::size_t k = 0; k < group; ++k)
      digits.add(scan.at(i + k));
    i += group;
    const bool breaks_off = scan.at(i) == '.' && is_digit(scan.at(i + 1));
    if (!is_alnum(scan.at(i)) && !breaks_off && digits.is_card()) best = i - at;
    const std::size_t separator = scan.separator(i, true);
    const bool is_grouped = digits.count() > group || group == 4;
    if (separator == 0 || !is_grouped) break;
    i += separator;
  }
  return best;
}

// 123-45-6789; without separators only where the text says what it is.
std::size_t social_security_number(const Scan& scan, std::size_t at) {
  if (!is_digit(scan.at(at)) || !begins_number(scan, at)) return 0;
  const std::size_t area_digits = count_digits(scan, at, 9);
  if (area_digits != 3 && area_digits != 9) return 0;
  const bool is_joined = area_digits == 9;
  std::size_t i = at + 3;
  const std::size_t first = is_joined ? 0 : scan.separator(i, false);
  if (!is_joined && (first == 0 || count_digits(scan, i + first, 2) != 2)) return 0;
  const std::size_t group = i + first;
  i = group + 2;
  const std::size_t second = is_joined ? 0 : scan.separator(i, false);
  if (!is_joined && (second == 0 || count_digits(scan, i + second, 4) != 4)) return 0;
  const std::size_t serial = i + second;
  const std::string_view area = scan.part(at, at + 3);
  if (area == "000" || area == "666" || area[0] == '9') return 0;
  if (scan.part(group, group + 2) == "00" || scan.part(serial, serial + 4) == "0000") return 0;
  if (!ends_number(scan, serial + 4)) return 0;
  return is_joined && !scan.has_before(at, kSsnWords) ? 0 : serial + 4 - at;
}

namespace {

bool has_three_digits(const Scan& scan, std::size_t at, char least) {
  return scan.at(at) >= least && count_digits(scan, at, 3) == 3;
}

bool ends_phone(const Scan& scan, std::size_t end) {
  const bool has_extension = scan.at(end) == 'x' && is_digit(scan.at(end + 1));
  return has_extension || ends_number(scan, end);
}

// Area, exchange and line of North America, where the whole number begins at `at`; the end, or
// `begin` when it is none.
std::size_t national_end(const Scan& scan, std::size_t at, std::size_t begin) {
  std::size_t i = begin;
  if (scan.at(i) == '(') {
    if (!has_three_digits(scan, i + 1, '2') || scan.at(i + 4) != ')') return begin;
    i += 5;
    i += scan.separator(i, true);
  } else if (count_digits(scan, i, 10) == 10) {
    const bool is_told = scan.at(at) == '+' || scan.has_before(at, kPhoneWords);
    const bool is_number = scan.at(i) >= '2' && scan.at(i + 3) >= '1' && ends_phone(scan, i + 10);
    return is_told && is_number ? i + 10 : begin;
  } else {
    const std::size_t separator = has_three_digits(scan, i, '2') ? scan.separator(i + 3, true) : 0;
    if (separator == 0) return begin;
    i += 3 + separator;
  }
  const std::size_t separator = has_three_digits(scan, i, '1') ? scan.separator(i + 3, true) : 0;
  if (separator == 0) return begin;
  i += 3 + separator;
  return count_digits(scan, i, 4) == 4 && ends_phone(scan, i + 4) ? i + 4 : begin;
}

// Behind a +: digits in groups, the country's number first; the end, or `begin`.
std::size_t international_end(const Scan& scan, std::size_t begin) {
  std::size_t digits = 0;
  std::size_t end = begin;
  for (std::size_t i = begin; digits < kMostPhoneDigits;) {
    const bool opens = scan.at(i) == '(';
    if (opens) ++i;
    const std::size_t group = count_digits(scan, i, kMostPhoneDigits);
    if (group == 0 || digits + group > kMostPhoneDigits) break;
    digits += group;
    i += group;
    const bool closes = opens && scan.at(i) == ')';
    if (opens && !closes) break;
    if (closes) ++i;
    if (digits >= kLeastPhoneDigits && ends_phone(scan, i)) end = i;
    const std::size_t separator = scan.separator(i, true);
    if (separator == 0 && !closes && scan.at(i) != '(') break;
    i += separator;
  }
  return end;
}

} // namespace

std::size_t phone_number(const Scan& scan, std::size_t at) {
  const char first = scan.at(at);
  if (first != '+' && first != '(' && !is_digit(first)) return 0;
  if (!begins_number(scan, at)) return 0;
  std::size_t begin = first == '+' ? at + 1 : at;
  const char country = scan.at(begin);
  if (first == '+' && country >= '2' && country <= '9') {
    const std::size_t end = international_end(scan, begin);
    return end == begin ? 0 : end - at;
  }
  if (country == '1')
    begin += 1 + scan.separator(begin + 1, true);
  else if (first == '+')
    return 0;
  const std::size_t end = national_end(scan, at, begin);
  return end == begin ? 0 : end - at;
}

} // namespace holdfast::redaction
