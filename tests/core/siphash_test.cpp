#include "extension/core/siphash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

// The designers' own vectors: the secret is the bytes 0 to 15, the text the bytes 0 to n - 1.
TEST(SipHash, AgreesWithItsDesigners) {
  const HashSecret secret = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string text;
  EXPECT_TRUE(siphash(secret, text) == (Hash128{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  text.push_back('\0');
  EXPECT_TRUE(siphash(secret, text) == (Hash128{0x44af996bd8c187da, 0x45fc229b11597634}));
}

TEST(SipHash, TellsTextsAndSecretsApart) {
  const HashSecret secret = {1, 2};
  EXPECT_FALSE(siphash(secret, "user ada") == siphash(secret, "user adb"));
  EXPECT_FALSE(siphash(secret, "user ada") == siphash({1, 3}, "user ada"));
  EXPECT_FALSE(siphash(secret, std::string(8, '\0')) == siphash(secret, std::string(9, '\0')));
}

} // namespace
} // namespace holdfast
