#include "gateway/request_json.hpp"

#include "gateway/http_error.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

HttpError refusal(const std::string& body) {
  try {
    parse_request_object(body);
  } catch (const HttpError& error) {
    return error;
  }
  ADD_FAILURE() << "taken: " << body;
  return {0, "", ""};
}

template <typename Call>
std::string refused_param(Call call) {
  try {
    call();
  } catch (const HttpError& error) {
    EXPECT_EQ(error.status, 400);
    return error.param;
  }
  return "taken";
}

TEST(RequestJsonTest, EachMistakeHasItsCode) {
  EXPECT_EQ(refusal("").code, "malformed_json");
  EXPECT_EQ(refusal("{\"a\":").code, "malformed_json");
  EXPECT_EQ(refusal("[1]").code, "malformed_json");
  EXPECT_EQ(refusal("{} {}").code, "malformed_json");
  EXPECT_EQ(refusal("{\"a\":NaN}").code, "malformed_json");
  EXPECT_EQ(refusal("{\"a\":1e999}").code, "malformed_json");
  EXPECT_EQ(refusal("{\"a\":\"\xff\"}").code, "invalid_utf8");
  EXPECT_EQ(refusal("{\"a\":" + std::string(64, '[') + std::string(64, ']') + "}").code,
            "json_too_deep");
  for (const char* body : {"", "{", "[1]"})
    EXPECT_EQ(refusal(body).status, 400);
}

TEST(RequestJsonTest, BracketsInStringsAreNotDepth) {
  const std::string text(1000, '[');
  EXPECT_EQ(parse_request_object(R"({"a":"\")" + text + R"("})")["a"], "\"" + text);
}

TEST(RequestJsonTest, NulIsRefusedWhereItIs) {
  EXPECT_EQ(refusal(R"({"metadata":[{"content":"a\u0000"}]})").param, "metadata[0].content");
  EXPECT_EQ(refusal(R"({"a":[1,["\u0000"]]})").param, "a[1][0]");
  EXPECT_EQ(refusal(R"({"a\u0000":1})").code, "nul_in_text");
}

TEST(RequestJsonTest, NulOfPromptsIsForTheirReader) {
  EXPECT_EQ(
      parse_request_object(R"({"messages":[{"content":"a\u0000"}]})")["messages"][0]["content"],
      std::string("a\0", 2));
  EXPECT_NO_THROW(
      parse_request_object(R"({"prompt":"\u0000","systemPrompt":"\u0000","system":"\u0000"})"));
}

TEST(RequestJsonTest, MembersByType) {
  const auto object = parse_request_object(
      R"({"t":"x","n":0.5,"i":7,"z":null,"b":true,"u":18446744073709551615,"f":7.0})");
  EXPECT_EQ(optional_text(object, "t"), "x");
  EXPECT_EQ(optional_text(object, "z"), std::nullopt);
  EXPECT_EQ(optional_text(object, "absent"), std::nullopt);
  EXPECT_EQ(refused_param([&] { optional_text(object, "i"); }), "i");
  EXPECT_EQ(optional_number(object, "n", 0, 2), 0.5);
  EXPECT_EQ(refused_param([&] { optional_number(object, "i", 0, 2); }), "i");
  EXPECT_EQ(refused_param([&] { optional_number(object, "b", 0, 2); }), "b");
  EXPECT_EQ(optional_integer(object, "i", 1, 10), 7);
  for (const char* name : {"t", "n", "b", "u", "f"}) {
    EXPECT_EQ(refused_param([&] { optional_integer(object, name, 1, 10); }), name);
  }
  EXPECT_EQ(refused_param([&] { optional_integer(object, "i", 8, 10); }), "i");
}

} // namespace
} // namespace holdfast::gateway
