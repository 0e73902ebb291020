#include "gateway/client_address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>

namespace holdfast::gateway {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedBits = 96;

// An address, and whether it was written as IPv4.
std::optional<std::pair<Network, bool>> parse_address(const std::string& text) {
  Network network;
  if (inet_pton(AF_INET6, text.c_str(), network.address.data()) == 1) {
    return std::pair(network, false);
  }
  std::copy(kMapped.begin(), kMapped.end(), network.address.begin());
  if (inet_pton(AF_INET, text.c_str(), network.address.data() + kMapped.size()) == 1) {
    return std::pair(network, true);
  }
  return std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

bool is_trusted(const std::string& address, const std::vector<Network>& trusted) {
  return std::any_of(trusted.begin(), trusted.end(),
                     [&](const Network& network) { return contains(network, address); });
}

} // namespace

std::optional<Network> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto parsed = parse_address(std::string(text.substr(0, slash)));
  if (!parsed) return std::nullopt;
  auto [network, is_v4] = *parsed;
  if (slash == std::string_view::npos) return network;
  const std::string_view digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 3) return std::nullopt;
  int bits = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    bits = bits * 10 + (digit - '0');
  }
  if (bits > (is_v4 ? 32 : 128)) return std::nullopt;
  network.bits = is_v4 ? kMappedBits + bits : bits;
  return network;
}

bool contains(const Network& network, const std::string& address) {
  const auto parsed = parse_address(address);
  if (!parsed) return false;
  for (int bit = 0; bit < network.bits; ++bit) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const unsigned mask = 0x80U >> (bit % 8);
    if (((network.address[at] ^ parsed->first.address[at]) & mask) != 0) return false;
  }
  return true;
}

std::string client_address(const std::string& peer, const std::string& forwarded_for,
                           const std::vector<Network>& trusted) {
  std::string nearest = peer;
  std::string_view rest = forwarded_for;
  while (is_trusted(nearest, trusted) && !rest.empty()) {
    const std::size_t comma = rest.rfind(',');
    const bool is_last = comma == std::string_view::npos;
    const std::string before(trimmed(is_last ? rest : rest.substr(comma + 1)));
    if (!parse_address(before)) break; // a proxy that names nobody: it is as far as we know
    nearest = before;
    rest = is_last ? std::string_view() : rest.substr(0, comma);
  }
  return nearest;
}

} // namespace holdfast::gateway
