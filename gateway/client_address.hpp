// Whose request it is, by address.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::gateway {

// Addresses that begin with the same bits; IPv4 is kept as IPv6 (::ffff:…).
struct Network {
  std::array<std::uint8_t, 16> address{};
  int bits = 128;

  bool operator==(const Network& other) const {
    return address == other.address && bits == other.bits;
  }
};

// Reads 192.0.2.1, 10.0.0.0/8, 2001:db8::/32; nullopt for anything else.
std::optional<Network> parse_network(std::string_view text);

bool contains(const Network& network, const std::string& address);

// The client's address: the peer's, unless that is a proxy of `trusted`; then the last address of
// X-Forwarded-For that is none of them. What lies before it, the client may have made up.
std::string client_address(const std::string& peer, const std::string& forwarded_for,
                           const std::vector<Network>& trusted);

} // namespace holdfast::gateway
