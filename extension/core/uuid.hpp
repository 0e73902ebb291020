#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace holdfast {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  std::string str() const;
  friend bool operator==(const Uuid& a, const Uuid& b) { return a.bytes == b.bytes; }
  friend bool operator!=(const Uuid& a, const Uuid& b) { return a.bytes != b.bytes; }
  friend bool operator<(const Uuid& a, const Uuid& b) { return a.bytes < b.bytes; }
};

// A version 7 UUID (RFC 9562, section 5.7): milliseconds since 1970 in front, so that ids made
// later sort later, and 74 random bits from `random`.
Uuid uuid_v7(std::uint64_t unix_ms, const std::array<std::uint8_t, 16>& random);

} // namespace holdfast
