// What every fuzzer shares: the parts of an input, places to cut it, and what must hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace holdfast::fuzz {

// Ends the program where what must hold does not, so that the input is kept.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are bytes
  return {reinterpret_cast<const char*>(data), size};
}

// The first line, without its end, is taken off the text.
inline std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// The bytes in short pieces, whose sizes are drawn from the bytes themselves.
inline std::vector<std::string_view> pieces_of(std::string_view bytes) {
  std::uint64_t state = 14695981039346656037U;
  for (const char c : bytes)
    state = (state ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::vector<std::string_view> pieces;
  while (!bytes.empty()) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const std::size_t most = (state >> 33U) % 4 == 0 ? 64 : 5;
    const std::size_t size = std::min<std::size_t>((state >> 40U) % most, bytes.size());
    pieces.push_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return pieces;
}

} // namespace holdfast::fuzz
