#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace holdfast {

struct Hash128 {
  std::uint64_t first = 0;
  std::uint64_t second = 0;

  friend bool operator==(const Hash128& a, const Hash128& b) {
    return a.first == b.first && a.second == b.second;
  }
};

// SipHash-2-4 with 128 bits of output: without the secret nobody finds two texts of one hash.
using HashSecret = std::array<std::uint64_t, 2>;
Hash128 siphash(const HashSecret& secret, std::string_view text);

} // namespace holdfast
