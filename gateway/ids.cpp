#include "gateway/ids.hpp"

#include "extension/core/uuid.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdexcept>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kUuidBytes = 16;
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string with_dashes(const std::string& hex) {
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

// Asked for in advance, for each time it costs more than the rest of an id.
std::array<std::uint8_t, kUuidBytes> random_bytes() {
  thread_local std::array<std::uint8_t, kUuidBytes * 64> stock;
  thread_local std::size_t used = stock.size();
  if (used == stock.size()) {
    if (RAND_bytes(stock.data(), static_cast<int>(stock.size())) != 1)
      throw std::runtime_error("the system gave no random bytes");
    used = 0;
  }
  std::array<std::uint8_t, kUuidBytes> bytes{};
  std::copy_n(stock.begin() + static_cast<std::ptrdiff_t>(used), bytes.size(), bytes.begin());
  used += bytes.size();
  return bytes;
}

bool dash_belongs_at(std::size_t index) {
  return index == 8 || index == 13 || index == 18 || index == 23;
}

} // namespace

std::string new_uuid() {
  const std::array<std::uint8_t, kUuidBytes> random = random_bytes();
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
  // Looked up once: to name it by EVP_sha256() is to search for it each time.
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm(
      EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free);
  if (!algorithm ||
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, algorithm.get(), nullptr) != 1) {
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
