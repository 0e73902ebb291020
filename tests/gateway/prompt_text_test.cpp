#include "gateway/prompt_text.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

Message message(const std::string& role, const std::string& text) {
  Message made;
  made.role = role;
  made.parts.push_back({ContentPart::Kind::text, text, ""});
  return made;
}

TEST(PromptText, NormalizesWhatPeopleWrite) {
  ChatRequest request;
  for (const char* role : {"system", "developer", "user", "assistant", "tool"})
    request.messages.push_back(message(role, std::string("a \r\n\0b\n", 7)));
  normalize_prompt(request);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(request.messages[i].parts[0].text, "a\nb");
  for (std::size_t i = 3; i < 5; ++i) // a file that a tool has read
    EXPECT_EQ(request.messages[i].parts[0].text, "a \r\nb\n");
}

TEST(PromptText, TakesNulOutOfEverything) {
  ChatRequest request;
  Message told = message("assistant", "x");
  told.tool_calls.push_back({std::string("c\0", 2), std::string("f\0", 2), std::string("{}\0", 3)});
  told.tool_call_id = told.name = told.refusal = std::string("n\0", 2);
  request.messages.push_back(told);
  normalize_prompt(request);
  const Message& clean = request.messages[0];
  EXPECT_EQ(clean.tool_calls[0].id + clean.tool_calls[0].name + clean.tool_calls[0].arguments,
            "cf{}");
  EXPECT_EQ(clean.tool_call_id + clean.name + clean.refusal, "nnn");
}

TEST(PromptText, RedactsAllThatIsSaid) {
  ChatRequest request;
  for (const char* role : {"system", "user", "assistant", "tool"})
    request.messages.push_back(message(role, "Ask ada@example.com"));
  request.messages.push_back(message("user", ""));
  request.messages.back().parts[0] = {ContentPart::Kind::image_url, "https://a@example.com/x", ""};
  redact_prompt(request);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(request.messages[i].parts[0].text, "Ask [REDACTED:EMAIL]");
  EXPECT_EQ(request.messages[4].parts[0].text, "https://a@example.com/x");
}

TEST(PromptText, ArgumentsOfToolsStayJson) {
  const auto redact = [](const std::string& arguments) {
    ChatRequest request;
    request.messages.emplace_back();
    request.messages[0].tool_calls.push_back({"c", "f", arguments});
    redact_prompt(request);
    return request.messages[0].tool_calls[0].arguments;
  };
  EXPECT_EQ(redact(R"({"ssn": 123456789, "n": [1, {"to": "ada@example.com"}]})"),
            R"({"n":[1,{"to":"[REDACTED:EMAIL]"}],"ssn":"[REDACTED:SSN]"})");
  EXPECT_EQ(redact(R"({ "order" : 123456789 })"), R"({ "order" : 123456789 })");
  EXPECT_EQ(redact("{broken ada@example.com"), "{broken [REDACTED:EMAIL]");
}

} // namespace
} // namespace holdfast::gateway
