#include "gateway/token_bound.hpp"

#include "gateway/openai_format.hpp"
#include "tests/gateway/fixture.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

ChatRequest one_message(const std::string& text) {
  ChatRequest request;
  Message message;
  message.role = "user";
  message.parts.push_back({ContentPart::Kind::text, text, {}});
  request.messages.push_back(message);
  request.max_tokens = 10;
  return request;
}

TEST(TokenBound, CountsBytesFramesAndRole) {
  const ChatRequest request = one_message("h\xC3\xA9llo");
  EXPECT_EQ(prompt_bytes(request), 4 + 6);
  EXPECT_EQ(prompt_token_bound(request), 10 + 8 + 16);
  EXPECT_EQ(prompt_token_estimate(request), 3);
}

TEST(TokenBound, CountsEveryTextOfAMessage) {
  ChatRequest request = one_message("");
  Message& message = request.messages.front();
  message.role.clear();
  message.name = "n";
  message.refusal = "re";
  message.tool_call_id = "tci";
  message.tool_calls.push_back({"id01", "name1", "args01"});
  EXPECT_EQ(prompt_bytes(request), 1 + 2 + 3 + 4 + 5 + 6);
  EXPECT_EQ(prompt_token_bound(request), 21 + 8 * 2 + 16);
}

TEST(TokenBound, CountsToolsChoiceAndSchema) {
  ChatRequest request = one_message("hi");
  const std::int64_t before = prompt_token_bound(request);
  request.tools = nlohmann::json::parse(R"([{"type":"function"}])");
  EXPECT_EQ(prompt_token_bound(request), before + 21 + 32 + 1024);
  request.tool_choice = "auto";
  EXPECT_EQ(prompt_token_bound(request), before + 21 + 32 + 1024 + 6);
  request.response_format = nlohmann::json::parse(R"({"type":"text"})");
  EXPECT_EQ(prompt_token_bound(request), before + 21 + 32 + 1024 + 6 + 15);
}

TEST(TokenBound, IsAboveWhatProvidersCountedWithTools) {
  const std::vector<std::pair<std::string, std::string>> recorded = {{"groq", "chat_tools"},
                                                                     {"mistral", "chat_tools"},
                                                                     {"openai", "chat_tools"},
                                                                     {"openrouter", "chat_tools"},
                                                                     {"together", "chat_tools"}};
  for (const auto& [provider, name] : recorded) {
    const std::int64_t counted = test::load_fixture(provider, name)
                                     .at("response")
                                     .at("body")
                                     .at("usage")
                                     .at("prompt_tokens");
    EXPECT_GE(prompt_token_bound(test::recorded_request(provider, name)), counted) << provider;
  }
}

TEST(TokenBound, ImagesCountByTheirDetailNotByTheirUrl) {
  ChatRequest request = one_message("hi");
  const std::int64_t before = prompt_token_bound(request);
  request.messages.front().parts.push_back(
      {ContentPart::Kind::image_url, "data:image/png;base64," + std::string(100000, 'A'), "low"});
  EXPECT_EQ(prompt_bytes(request), 4 + 2);
  EXPECT_EQ(prompt_token_bound(request), before + 2833);
  request.messages.front().parts.back().detail = "auto";
  EXPECT_EQ(prompt_token_bound(request), before + 48169);
}

TEST(TokenBound, CompletionIsBoundedForAllChoices) {
  ChatRequest request = one_message("hi");
  request.max_tokens = 128000;
  request.choices = 8;
  EXPECT_EQ(completion_token_bound(request), 1024000);
}

// What the provider really counted never passes the bound that the hold was sized by.
TEST(TokenBound, HoldsForEveryRecordedPrompt) {
  int compared = 0;
  for (const char* name : {"chat_basic", "chat_cached", "chat_reasoning", "chat_service_tier",
                           "chat_stop_sequence", "chat_tools"}) {
    const ChatRequest request = test::recorded_request("openai", name);
    const std::int64_t counted =
        test::load_fixture("openai", name)["response"]["body"]["usage"]["prompt_tokens"];
    EXPECT_GE(prompt_token_bound(request), counted) << name;
    EXPECT_LE(prompt_token_estimate(request), prompt_token_bound(request)) << name;
    ++compared;
  }
  EXPECT_GE(prompt_token_bound(test::recorded_request("openai", "stream_tools")), 58);
  EXPECT_GE(prompt_token_bound(test::recorded_request("openai", "stream_basic")), 12);
  EXPECT_GE(prompt_token_bound(test::recorded_request("openai", "stream_usage_details")), 12);
  EXPECT_EQ(compared, 6);
}

} // namespace
} // namespace holdfast
