#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  std::string str() const;
  friend bool operator==(const Uuid& a, const Uuid& b) { return a.bytes == b.bytes; }
  friend bool operator!=(const Uuid& a, const Uuid& b) { return a.bytes != b.bytes; }
  friend bool operator<(const Uuid& a, const Uuid& b) { return a.bytes < b.bytes; }
};

// 32 hexadecimal digits of either case, with or without the hyphens of RFC 9562; else nullopt.
std::optional<Uuid> parse_uuid(std::string_view text);

// A version 7 UUID (RFC 9562, section 5.7): milliseconds since 1970 in front, so that ids made
// later sort later, and 74 random bits from `random`.
Uuid uuid_v7(std::uint64_t unix_ms, const std::array<std::uint8_t, 16>& random);

} // namespace holdfast
