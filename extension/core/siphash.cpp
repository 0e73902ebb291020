#include "extension/core/siphash.hpp"

namespace holdfast {

namespace {

constexpr std::size_t kWordBytes = 8;

std::uint64_t rotate(std::uint64_t value, int bits) {
  return value << bits | value >> (64 - bits);
}

struct State {
  std::uint64_t v0;
  std::uint64_t v1;
  std::uint64_t v2;
  std::uint64_t v3;

  void mix(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      v0 += v1;
      v2 += v3;
      v1 = rotate(v1, 13) ^ v0;
      v3 = rotate(v3, 16) ^ v2;
      v0 = rotate(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = rotate(v1, 17) ^ v2;
      v3 = rotate(v3, 21) ^ v0;
      v2 = rotate(v2, 32);
    }
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    mix(2);
    v0 ^= word;
  }
  std::uint64_t all() const { return v0 ^ v1 ^ v2 ^ v3; }
};

// Up to eight bytes, the first one lowest.
std::uint64_t word_of(std::string_view bytes) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return word;
}

} // namespace

Hash128 siphash(const HashSecret& secret, std::string_view text) {
  State state{secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d ^ 0xee,
              secret[0] ^ 0x6c7967656e657261, secret[1] ^ 0x7465646279746573};
  const std::uint64_t length = text.size();
  while (text.size() >= kWordBytes) {
    state.take(word_of(text.substr(0, kWordBytes)));
    text.remove_prefix(kWordBytes);
  }
  state.take(word_of(text) | length << 56);
  Hash128 hash;
  state.v2 ^= 0xee;
  state.mix(4);
  hash.first = state.all();
  state.v1 ^= 0xdd;
  state.mix(4);
  hash.second = state.all();
  return hash;
}

} // namespace holdfast
