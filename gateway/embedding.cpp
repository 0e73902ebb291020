#include "gateway/embedding.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace holdfast {

namespace {

constexpr std::int64_t kTokensPerInput = 8;
constexpr std::int64_t kBytesPerToken = 4;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::int64_t token_ids(const EmbeddingRequest& request) {
  std::int64_t count = 0;
  for (const auto& input : request.tokens)
    count += static_cast<std::int64_t>(input.size());
  return count;
}

std::int64_t text_bytes(const EmbeddingRequest& request) {
  std::int64_t bytes = 0;
  for (const std::string& text : request.texts)
    bytes += static_cast<std::int64_t>(text.size());
  return bytes;
}

std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The bytes of base64, with or without padding; nothing for any other character.
std::optional<std::vector<std::uint8_t>> decoded(std::string_view text) {
  while (!text.empty() && text.back() == '=')
    text.remove_suffix(1);
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6U | static_cast<std::uint32_t>(digit)) & 0xFFFFFFU;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes.push_back(static_cast<std::uint8_t>(bits >> static_cast<unsigned>(held) & 0xFFU));
  }
  return bytes;
}

} // namespace

std::size_t longest_text(const EmbeddingRequest& request) {
  std::size_t longest = 0;
  for (const std::string& text : request.texts)
    longest = std::max(longest, text.size());
  return longest;
}

std::int64_t prompt_token_bound(const EmbeddingRequest& request) {
  return text_bytes(request) + token_ids(request) +
         kTokensPerInput * static_cast<std::int64_t>(request.size());
}

std::int64_t prompt_token_estimate(const EmbeddingRequest& request) {
  return (text_bytes(request) + kBytesPerToken - 1) / kBytesPerToken + token_ids(request);
}

std::string base64_of(const std::vector<float>& vector) {
  std::string text;
  text.reserve((vector.size() * sizeof(float) + 2) / 3 * 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (const float value : vector) {
    const std::uint32_t whole = bits_of(value);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bits = (bits << 8U | (whole >> shift & 0xFFU)) & 0xFFFFU;
      for (held += 8; held >= 6; held -= 6)
        text.push_back(kAlphabet[bits >> static_cast<unsigned>(held - 6) & 0x3FU]);
    }
  }
  if (held > 0) text.push_back(kAlphabet[bits << static_cast<unsigned>(6 - held) & 0x3FU]);
  while (text.size() % 4 != 0)
    text.push_back('=');
  return text;
}

std::optional<std::vector<float>> vector_of_base64(std::string_view text) {
  const auto bytes = decoded(text);
  if (!bytes || bytes->empty() || bytes->size() % sizeof(float) != 0) return std::nullopt;
  std::vector<float> vector;
  vector.reserve(bytes->size() / sizeof(float));
  for (std::size_t at = 0; at < bytes->size(); at += sizeof(float)) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < sizeof(float); ++i)
      bits |= static_cast<std::uint32_t>((*bytes)[at + i]) << static_cast<unsigned>(8 * i);
    const float value = float_of(bits);
    if (!std::isfinite(value)) return std::nullopt;
    vector.push_back(value);
  }
  return vector;
}

} // namespace holdfast
