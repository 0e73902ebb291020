#pragma once

#include "extension/core/usd.hpp"

#include <array>
#include <cstddef>

// PostgreSQL's numeric as it is stored: after the length, a header of 16 bits and digits to base
// 10,000, in the machine's byte order (src/backend/utils/adt/numeric.c, "NumericData"; it cannot
// change without a dump). A settlement reads and makes a dozen of these, and text is ten times as
// slow.
namespace holdfast {

// nullopt for what is not stored in the short form, or is no amount of USD: ask its text then.
std::optional<Usd> read_numeric(std::string_view stored);

// An amount in the short form, with the decimals that str() shows.
class StoredNumeric {
public:
  explicit StoredNumeric(Usd amount);
  std::string_view bytes() const { return {bytes_.data(), size_}; }

private:
  // The header and ten groups of four decimal digits.
  std::array<char, sizeof(std::uint16_t) * 11> bytes_{};
  std::size_t size_ = 0;
};

} // namespace holdfast
