#include "gateway/client_address.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

TEST(ClientAddress, ReadsNetworks) {
  for (const char* text : {"192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "::1", "0.0.0.0/0", "::/0"})
    EXPECT_TRUE(parse_network(text)) << text;
  for (const char* text : {"", "proxy", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "::1/a",
                           "10.0.0.1 ", "10.0.0.0/-1"})
    EXPECT_FALSE(parse_network(text)) << text;
  EXPECT_TRUE(contains(*parse_network("10.0.0.0/8"), "10.200.3.4"));
  EXPECT_FALSE(contains(*parse_network("10.0.0.0/8"), "11.0.0.1"));
  EXPECT_TRUE(contains(*parse_network("10.0.0.0/8"), "::ffff:10.1.1.1"));
  EXPECT_TRUE(contains(*parse_network("2001:db8::/33"), "2001:db8:7fff::1"));
  EXPECT_FALSE(contains(*parse_network("2001:db8::/33"), "2001:db8:8000::1"));
}

TEST(ClientAddress, BelievesOnlyProxiesThatAreTrusted) {
  const std::vector<Network> none;
  const std::vector<Network> trusted = {*parse_network("10.0.0.0/8"), *parse_network("::1")};
  struct Case {
    const char* peer;
    const char* forwarded;
    const char* client;
  };
  const Case cases[] = {
      {"192.0.2.9", "", "192.0.2.9"},
      {"192.0.2.9", "198.51.100.1", "192.0.2.9"}, // anybody can send the header
      {"10.1.1.1", "198.51.100.1", "198.51.100.1"},
      {"10.1.1.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"}, // the client made the first up
      {"10.1.1.1", "198.51.100.1, 10.2.2.2", "198.51.100.1"},
      {"::1", "2001:db8::7 ,10.2.2.2", "2001:db8::7"},
      {"10.1.1.1", "", "10.1.1.1"},
      {"10.1.1.1", "unknown", "10.1.1.1"},
      {"10.1.1.1", "198.51.100.1, unknown, 10.2.2.2", "10.2.2.2"},
      {"10.1.1.1", "10.3.3.3", "10.3.3.3"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(client_address(each.peer, each.forwarded, trusted), each.client) << each.forwarded;
    EXPECT_EQ(client_address(each.peer, each.forwarded, none), each.peer);
  }
}

} // namespace
} // namespace holdfast::gateway
