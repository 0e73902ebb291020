#include "extension/core/usd.hpp"

#include "extension/core/error.hpp"

namespace holdfast {

namespace {

constexpr Int128 power_of_ten(int exponent) {
  Int128 value = 1;
  for (int i = 0; i < exponent; ++i)
    value *= 10;
  return value;
}

constexpr Int128 kUnitsPerDollar = power_of_ten(Usd::kDecimals);
constexpr Int128 kMaxUnits = power_of_ten(17) * kUnitsPerDollar;

Usd bounded(Int128 units) {
  if (units > kMaxUnits || units < -kMaxUnits) {
    throw bad_value("An amount beyond 100000000000000000 USD cannot be kept.")
        .hint("Check the figures: no budget or cost comes near this bound.");
  }
  return Usd::from_units(units);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

} // namespace

std::optional<Usd> Usd::parse(std::string_view decimal) {
  const bool negative = !decimal.empty() && decimal.front() == '-';
  if (negative) decimal.remove_prefix(1);
  Int128 units = 0;
  int decimals = -1; // -1 until the point is seen
  bool any_digit = false;
  for (const char c : decimal) {
    if (c == '.' && decimals < 0) {
      decimals = 0;
      continue;
    }
    if (!is_digit(c)) return std::nullopt;
    any_digit = true;
    if (decimals >= kDecimals) {
      if (c != '0') return std::nullopt;
      continue;
    }
    if (units > kMaxUnits) return std::nullopt;
    units = units * 10 + (c - '0');
    if (decimals >= 0) ++decimals;
  }
  if (!any_digit) return std::nullopt;
  for (int i = decimals < 0 ? 0 : decimals; i < kDecimals; ++i) {
    if (units > kMaxUnits) return std::nullopt;
    units *= 10;
  }
  if (units > kMaxUnits) return std::nullopt;
  return Usd(negative ? -units : units);
}

Usd Usd::whole(std::int64_t dollars) {
  return bounded(Int128{dollars} * kUnitsPerDollar);
}

std::string Usd::str() const {
  // Split into two 64-bit halves: division of 128 bits is slow, and this runs on every call.
  const Int128 magnitude = units_ < 0 ? -units_ : units_;
  std::string text = units_ < 0 ? "-" : "";
  text += std::to_string(static_cast<std::uint64_t>(magnitude / kUnitsPerDollar));
  const auto fraction = static_cast<std::uint64_t>(magnitude % kUnitsPerDollar);
  if (fraction == 0) return text;
  const std::string digits = std::to_string(fraction);
  text += '.';
  text.append(static_cast<std::size_t>(kDecimals) - digits.size(), '0');
  text += digits;
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

Usd Usd::operator+(Usd other) const {
  return bounded(units_ + other.units_);
}
Usd Usd::operator-(Usd other) const {
  return bounded(units_ - other.units_);
}

} // namespace holdfast
