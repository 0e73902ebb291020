#include "gateway/api_key.hpp"

#include "gateway/ids.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

const std::string kKey = "hf_0123456789abcdef0123456789abcdef_" + std::string(41, 'A') + "-_";

TEST(ApiKeyTest, ReadsOrganizationAndHash) {
  const auto key = parse_api_key(kKey);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->organization_id, "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(key->hash, sha256(kKey));
  EXPECT_EQ(key->hash.size(), 32U);
}

TEST(ApiKeyTest, RefusesWhatHasNotTheForm) {
  std::string bad_hex = kKey;
  bad_hex[5] = 'g';
  std::string bad_secret = kKey;
  bad_secret.back() = '+';
  std::string bad_separator = kKey;
  bad_separator[35] = '-';
  for (const std::string& text :
       {std::string(), std::string("hf_"), bad_hex, bad_secret, bad_separator, kKey + "A",
        kKey.substr(0, kKey.size() - 1), "xx_" + kKey.substr(3)}) {
    EXPECT_FALSE(parse_api_key(text)) << text;
  }
}

TEST(ApiKeyTest, TakesTheBearerSchemeInAnyCase) {
  EXPECT_TRUE(parse_authorization("Bearer " + kKey));
  EXPECT_TRUE(parse_authorization("bearer  " + kKey + " "));
  EXPECT_FALSE(parse_authorization(kKey));
  EXPECT_FALSE(parse_authorization("Basic " + kKey));
  EXPECT_FALSE(parse_authorization("Bearer"));
}

TEST(IdsTest, UuidsAreCanonical) {
  EXPECT_EQ(canonical_uuid("0123456789ABCDEF0123456789abcdef"),
            "01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(canonical_uuid("01234567-89AB-cdef-0123-456789abcdef"),
            "01234567-89ab-cdef-0123-456789abcdef");
  for (const char* text :
       {"", "zz", "0123456-789ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg",
        "{01234567-89ab-cdef-0123-456789abcdef}"}) {
    EXPECT_FALSE(canonical_uuid(text)) << text;
  }
}

TEST(IdsTest, NewUuidsAreOfVersion7AndDiffer) {
  const std::string id = new_uuid();
  EXPECT_EQ(canonical_uuid(id), id);
  EXPECT_EQ(id[14], '7');
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
  EXPECT_NE(new_uuid(), id);
}

TEST(IdsTest, Sha256OfAKnownText) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

} // namespace
} // namespace holdfast::gateway
