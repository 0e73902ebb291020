#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

__extension__ using Int128 = __int128;

// An exact amount of US dollars: a whole number of 1e-18 USD, at most 1e17 USD either way.
// A price per million tokens has at most 10 decimals (Price), so tokens x price, and half or a
// hundredth of it, is still a whole number of these units: nothing is ever rounded.
class Usd {
public:
  static constexpr int kDecimals = 18;

  constexpr Usd() = default;

  // Decimal text as PostgreSQL's numeric prints it ("-12.5", "0.000000075"); nullopt for anything
  // else: NaN, Infinity, more than 18 decimals that are not zero, or beyond the bound.
  static std::optional<Usd> parse(std::string_view decimal);
  static constexpr Usd from_units(Int128 units) { return Usd(units); }
  static Usd whole(std::int64_t dollars);
  // The most that a caller may give for one amount; sums of such amounts stay within the bound.
  static Usd most_given() { return whole(1'000'000'000'000'000); }

  // The shortest decimal text: no exponent, no trailing zeros.
  std::string str() const;

  constexpr Int128 units() const { return units_; }
  constexpr bool is_negative() const { return units_ < 0; }
  constexpr bool is_zero() const { return units_ == 0; }

  // Sums beyond the bound throw Error PT400.
  Usd operator+(Usd other) const;
  Usd operator-(Usd other) const;
  constexpr Usd operator-() const { return Usd(-units_); }
  Usd& operator+=(Usd other) { return *this = *this + other; }
  Usd& operator-=(Usd other) { return *this = *this - other; }

  friend constexpr bool operator==(Usd a, Usd b) { return a.units_ == b.units_; }
  friend constexpr bool operator!=(Usd a, Usd b) { return a.units_ != b.units_; }
  friend constexpr bool operator<(Usd a, Usd b) { return a.units_ < b.units_; }
  friend constexpr bool operator>(Usd a, Usd b) { return a.units_ > b.units_; }
  friend constexpr bool operator<=(Usd a, Usd b) { return a.units_ <= b.units_; }
  friend constexpr bool operator>=(Usd a, Usd b) { return a.units_ >= b.units_; }

private:
  explicit constexpr Usd(Int128 units) : units_(units) {}
  Int128 units_ = 0;
};

} // namespace holdfast
