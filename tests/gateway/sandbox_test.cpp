#include "gateway/providers/sandbox.hpp"

#include "gateway/providers/registry.hpp"
#include "gateway/token_bound.hpp"
#include "tests/gateway/describe.hpp"

#include <gtest/gtest.h>
#include <sstream>

namespace holdfast::provider {
namespace {

ChatRequest request_of(int max_tokens, int choices = 1) {
  ChatRequest request;
  request.model = "gpt-4o-mini";
  Message message;
  message.role = "user";
  message.parts.push_back({ContentPart::Kind::text, "Hello", {}});
  request.messages.push_back(message);
  request.max_tokens = max_tokens;
  request.choices = choices;
  return request;
}

int words_in(const std::string& text) {
  std::istringstream stream(text);
  int count = 0;
  for (std::string word; stream >> word;)
    ++count;
  return count;
}

TEST(Sandbox, AnswerIsMarkedAndExactlyAsLongAsAllowed) {
  for (const int max_tokens : {1, 2, 17, 64, 65, 1000, 4097}) {
    const ChatAnswer answer = sandbox::answer(request_of(max_tokens));
    ASSERT_EQ(answer.choices.size(), 1U);
    EXPECT_EQ(answer.choices[0].content.substr(0, 9), "[sandbox]");
    EXPECT_EQ(words_in(answer.choices[0].content), max_tokens);
    EXPECT_EQ(answer.choices[0].finish_reason, "length");
  }
}

TEST(Sandbox, AnswersWithJsonThatFitsTheSchema) {
  ChatRequest request = request_of(20);
  request.response_format = nlohmann::json::parse(R"({"type": "json_schema", "json_schema": {
    "name": "a", "schema": {"type": "object", "required": ["names"], "properties": {
      "names": {"type": "array", "minItems": 2, "items": {"type": "string"}}}}}})");
  const ChatAnswer answer = sandbox::answer(request);
  EXPECT_EQ(answer.choices[0].content, R"({"names":["[sandbox] names 1","[sandbox] names 2"]})");
  EXPECT_EQ(answer.choices[0].finish_reason, "stop");
  EXPECT_EQ(answer.usage->completion_tokens, 20);
  std::string streamed;
  for (const StreamEvent& event : sandbox::stream(request))
    for (const ChatDelta& delta : event.deltas)
      streamed += delta.content;
  EXPECT_EQ(streamed, answer.choices[0].content);
  request.response_format["json_schema"]["schema"]["not"] = nlohmann::json::object();
  EXPECT_EQ(words_in(sandbox::answer(request).choices[0].content), 20);
}

TEST(Sandbox, UsageIsTheBoundSoThatTheCostIsTheHold) {
  const ChatRequest request = request_of(10, 3);
  const ChatAnswer answer = sandbox::answer(request);
  ASSERT_TRUE(answer.usage.has_value());
  EXPECT_EQ(answer.usage->prompt_tokens, prompt_token_bound(request));
  EXPECT_EQ(answer.usage->completion_tokens, 30);
  EXPECT_FALSE(answer.usage->estimated);
  EXPECT_EQ(answer.choices.size(), 3U);
  EXPECT_EQ(answer.choices[2].index, 2);
}

TEST(Sandbox, SameRequestSameAnswer) {
  EXPECT_EQ(test::describe(sandbox::answer(request_of(20))),
            test::describe(sandbox::answer(request_of(20))));
  ChatRequest other = request_of(20);
  other.messages[0].parts[0].text = "Hello!";
  EXPECT_NE(sandbox::answer(request_of(20)).id, sandbox::answer(other).id);
}

TEST(Sandbox, StreamSaysWhatTheAnswerSays) {
  for (const int max_tokens : {1, 64, 65, 1000}) {
    const ChatRequest request = request_of(max_tokens, 2);
    const ChatAnswer answer = sandbox::answer(request);
    const std::vector<StreamEvent> events = sandbox::stream(request);
    EXPECT_LE(events.size(), 2U * 65U + 2U);
    std::vector<std::string> contents(2), finishes(2);
    for (const StreamEvent& event : events) {
      EXPECT_EQ(event.id, answer.id);
      for (const ChatDelta& delta : event.deltas) {
        contents[static_cast<std::size_t>(delta.index)] += delta.content;
        finishes[static_cast<std::size_t>(delta.index)] += delta.finish_reason;
      }
    }
    EXPECT_EQ(contents[0], answer.choices[0].content);
    EXPECT_EQ(contents[1], answer.choices[1].content);
    EXPECT_EQ(finishes, (std::vector<std::string>{"length", "length"}));
    ASSERT_GE(events.size(), 2U);
    EXPECT_EQ(test::describe(events[events.size() - 2]), test::describe(*answer.usage));
    EXPECT_EQ(test::describe(events.back()), "done");
  }
}

TEST(Registry, NamesAreUniqueAndOnlyTheSandboxHasNoAdapter) {
  std::vector<std::string> names;
  for (const ProviderInfo& info : all_providers()) {
    names.push_back(info.name);
    EXPECT_EQ(find_provider(info.name), &info);
    EXPECT_EQ(info.adapter == nullptr, info.name == "sandbox");
    EXPECT_EQ(info.key_variable.empty(), info.name == "sandbox");
    EXPECT_FALSE(info.display_name.empty());
    EXPECT_EQ(info.default_model.empty(), info.name == "custom");
    if (info.adapter != nullptr) {
      EXPECT_EQ(info.default_base_url.substr(0, 8), info.name == "custom" ? "" : "https://");
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"openai", "anthropic", "gemini", "groq", "perplexity",
                                             "mistral", "together", "cohere", "openrouter",
                                             "deepinfra", "custom", "sandbox"}));
  EXPECT_EQ(find_provider("OpenAI"), nullptr);
  EXPECT_EQ(find_provider(""), nullptr);
}

} // namespace
} // namespace holdfast::provider
