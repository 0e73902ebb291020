#include "gateway/bounded_json.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string nested(int depth) {
  const auto count = static_cast<std::size_t>(depth);
  return std::string(count, '[') + std::string(count, ']');
}

TEST(BoundedJson, ParsesUpToTheDepthAndNoDeeper) {
  EXPECT_TRUE(parse_bounded_json(nested(kMaxJsonDepth)).has_value());
  EXPECT_FALSE(parse_bounded_json(nested(kMaxJsonDepth + 1)).has_value());
  EXPECT_FALSE(parse_bounded_json(nested(5000000)).has_value());
  EXPECT_FALSE(parse_bounded_json(std::string(5000000, '[')).has_value());
  EXPECT_FALSE(parse_bounded_json(R"({"a":{"b":[1]}})", 2).has_value());
  EXPECT_TRUE(parse_bounded_json(R"({"a":{"b":[1]}})", 3).has_value());
}

TEST(BoundedJson, BracketsInStringsAreNoNesting) {
  const std::string text = "[\"" + std::string(1000, '[') + R"(\"[[[\\")" + ",\"{\"]";
  const auto document = parse_bounded_json(text, 1);
  ASSERT_TRUE(document.has_value());
  EXPECT_EQ((*document)[1], "{");
}

TEST(BoundedJson, SiblingsAreNoNesting) {
  EXPECT_TRUE(parse_bounded_json("[[],[],[],[]]", 2).has_value());
}

TEST(BoundedJson, RefusesWhatIsNotJson) {
  for (const char* text : {"", " ", "{", "nul", "{\"a\":1,}", "[1] x", "NaN", "Infinity", "1e999",
                           "\"\xFF\"", "\"\x01\"", "'a'", "{a:1}"})
    EXPECT_FALSE(parse_bounded_json(text).has_value()) << text;
  EXPECT_FALSE(parse_bounded_json(std::string_view("\"a\0b\"", 5)).has_value());
}

TEST(BoundedJson, WritesBrokenUtf8AsReplacement) {
  EXPECT_EQ(dump_json(nlohmann::json("a\xFF"
                                     "b")),
            "\"a\xEF\xBF\xBD"
            "b\"");
}

} // namespace
} // namespace holdfast
