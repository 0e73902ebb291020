#include "gateway/json_text.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

TEST(JsonTextTest, KnowsJsonNumbers) {
  for (const char* text : {"0", "-0", "1", "10.50", "0.000000000000000000001", "-3.5", "1e5",
                           "1.5E-7", "123456789012345678901234567890.123"}) {
    EXPECT_TRUE(is_json_number(text)) << text;
  }
  for (const char* text :
       {"", "-", "NaN", "Infinity", "01", ".5", "1.", "1e", "1e+", "+1", "1 ", "0x1", "1,5"}) {
    EXPECT_FALSE(is_json_number(text)) << text;
  }
}

TEST(JsonTextTest, DecimalsPassThroughUnchanged) {
  const std::string text = ObjectText()
                               .add("success", true)
                               .add("say", "a\"b\n")
                               .add_decimal("costUSD", "0.1234567890123456789012345")
                               .add_decimal("limitUSD", std::nullopt)
                               .add_decimal("spentUSD", "NaN")
                               .add_raw("list", "[1,2]")
                               .text();
  EXPECT_EQ(text, R"({"success":true,"say":"a\"b\n","costUSD":0.1234567890123456789012345,)"
                  R"("limitUSD":null,"spentUSD":null,"list":[1,2]})");
  EXPECT_TRUE(nlohmann::json::accept(text));
  EXPECT_EQ(ObjectText().text(), "{}");
}

TEST(JsonTextTest, AddsAMember) {
  EXPECT_EQ(with_member("{}", "a", "1"), R"({"a":1})");
  EXPECT_EQ(with_member(" { } ", "a", "1"), R"( { "a":1})");
  EXPECT_EQ(with_member(R"({"x":{"y":2}})", "cost", "0.10"), R"({"x":{"y":2},"cost":0.10})");
  EXPECT_THROW(with_member("[]", "a", "1"), std::invalid_argument);
}

TEST(JsonTextTest, TakesAnObjectApartWithoutTouchingItsValues) {
  const auto members = object_members(
      " {\"a\" : 0.100, \"b\\\"c\":{\"d\":[1,\"}\"]} ,\"e\":\"x,\\\"y\",\"f\":null}\n");
  ASSERT_TRUE(members);
  const std::vector<RawMember> expected = {
      {"a", "0.100"}, {"b\"c", R"({"d":[1,"}"]})"}, {"e", R"("x,\"y")"}, {"f", "null"}};
  EXPECT_EQ(*members, expected);
  EXPECT_TRUE(object_members("{}")->empty());
  for (const char* text : {"", "[]", "{", "{\"a\":}", "5", "{\"a\":1}x"}) {
    EXPECT_FALSE(object_members(text)) << text;
  }
}

} // namespace
} // namespace holdfast::gateway
