#include "gateway/ids.hpp"

#include "extension/core/uuid.hpp"

#include <array>
#include <chrono>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdexcept>

namespace holdfast::gateway {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string with_dashes(const std::string& hex) {
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

bool dash_belongs_at(std::size_t index) {
  return index == 8 || index == 13 || index == 18 || index == 23;
}

} // namespace

std::string new_uuid() {
  std::array<std::uint8_t, 16> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    throw std::runtime_error("the system gave no random bytes");
  }
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
  return uuid_v7(static_cast<std::uint64_t>(ms), random).str();
}

std::optional<std::string> canonical_uuid(std::string_view text) {
  const bool dashed = text.size() == 36;
  if (!dashed && text.size() != 32) return std::nullopt;
  std::string hex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (dashed && dash_belongs_at(i)) {
      if (c != '-') return std::nullopt;
      continue;
    }
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (kHexDigits.find(c) == std::string_view::npos) return std::nullopt;
    hex += c;
  }
  return with_dashes(hex);
}

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("SHA-256 is not available");
  }
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 0x0f];
  }
  return hex;
}

} // namespace holdfast::gateway
