#include "gateway/openai_format.hpp"

#include <gtest/gtest.h>
#include <random>

namespace holdfast::openai_format {
namespace {

using nlohmann::json;

constexpr const char* kMinimal =
    R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]})";

// The minimal body with one more member.
std::string with(const std::string& member) {
  return std::string(R"({"model":"m","messages":[{"role":"user","content":"Hi"}],)") + member + "}";
}

std::string with_message(const std::string& message) {
  return R"({"model":"m","messages":[)" + message + "]}";
}

ClientRequest accepted(const std::string& body, const RequestLimits& limits = {}) {
  auto parsed = parse_client_request(json::parse(body), limits);
  if (auto* error = std::get_if<RequestError>(&parsed)) {
    ADD_FAILURE() << body << "\n" << error->param << ": " << error->message;
    return {};
  }
  return std::get<ClientRequest>(parsed);
}

RequestError refused(const std::string& body) {
  auto parsed = parse_client_request(json::parse(body), {});
  if (auto* error = std::get_if<RequestError>(&parsed)) return *error;
  ADD_FAILURE() << "accepted: " << body;
  return {};
}

TEST(OpenAiRequest, MinimalBodyGetsTheDefaults) {
  const ClientRequest request = accepted(kMinimal);
  const ChatRequest& chat = request.chat;
  EXPECT_EQ(chat.model, "gpt-4o-mini");
  ASSERT_EQ(chat.messages.size(), 1U);
  EXPECT_EQ(chat.messages[0].role, "user");
  ASSERT_EQ(chat.messages[0].parts.size(), 1U);
  EXPECT_EQ(chat.messages[0].parts[0].text, "Hi");
  EXPECT_EQ(chat.max_tokens, 1024);
  EXPECT_EQ(chat.choices, 1);
  EXPECT_FALSE(chat.stream);
  EXPECT_FALSE(request.include_usage);
  EXPECT_TRUE(chat.tools.is_null() && chat.tool_choice.is_null());
  EXPECT_TRUE(chat.response_format.is_null());
  EXPECT_FALSE(chat.temperature || chat.top_p || chat.seed);
  EXPECT_TRUE(chat.stop.empty());
  EXPECT_EQ(chat.extra, json::object());
}

TEST(OpenAiRequest, TheDefaultNeverPassesTheLimit) {
  EXPECT_EQ(accepted(kMinimal, {1024, 500}).chat.max_tokens, 500);
}

TEST(OpenAiRequest, ReadsEveryKnownMember) {
  const ClientRequest request = accepted(R"({"model":"openai/gpt-4o","messages":[
      {"role":"developer","content":"Be short.","name":"boss"},
      {"role":"user","content":[{"type":"text","text":"What is it?"},
        {"type":"image_url","image_url":{"url":"https://example.org/a.png","detail":"low"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
      {"role":"assistant","content":null,"tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"x\":1"}}]},
      {"role":"tool","tool_call_id":"call_1","content":"a cat"},
      {"role":"assistant","content":[{"type":"refusal","refusal":"No."}]},
      {"role":"assistant","content":null,"refusal":"Never."}],
    "max_completion_tokens":77,"n":8,"temperature":0.5,"top_p":1,"seed":-9223372036854775808,
    "stop":["a","b"],"stream":true,"stream_options":{"include_usage":true},
    "tools":[{"type":"function","function":{"name":"look","description":"d","parameters":{"type":"object"},"strict":true}}],
    "tool_choice":{"type":"function","function":{"name":"look"}},
    "response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}},
    "frequency_penalty":-2,"presence_penalty":2,"logit_bias":{"50256":-100},"logprobs":true,"top_logprobs":20,
    "parallel_tool_calls":false,"reasoning_effort":"low","user":"u1"})");
  const ChatRequest& chat = request.chat;
  EXPECT_TRUE(request.include_usage);
  EXPECT_TRUE(chat.stream);
  EXPECT_EQ(chat.model, "openai/gpt-4o");
  ASSERT_EQ(chat.messages.size(), 6U);
  EXPECT_EQ(chat.messages[0].name, "boss");
  ASSERT_EQ(chat.messages[1].parts.size(), 3U);
  EXPECT_EQ(chat.messages[1].parts[1].kind, ContentPart::Kind::image_url);
  EXPECT_EQ(chat.messages[1].parts[1].detail, "low");
  EXPECT_EQ(chat.messages[1].parts[2].text, "data:image/png;base64,AAAA");
  ASSERT_EQ(chat.messages[2].tool_calls.size(), 1U);
  EXPECT_EQ(chat.messages[2].tool_calls[0].arguments, "{\"x\":1");
  EXPECT_EQ(chat.messages[3].tool_call_id, "call_1");
  EXPECT_EQ(chat.messages[4].refusal, "No.");
  EXPECT_EQ(chat.messages[5].refusal, "Never.");
  EXPECT_EQ(chat.max_tokens, 77);
  EXPECT_EQ(chat.choices, 8);
  EXPECT_EQ(chat.temperature, 0.5);
  EXPECT_EQ(chat.top_p, 1.0);
  EXPECT_EQ(chat.seed, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(chat.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(chat.tools.size(), 1U);
  EXPECT_EQ(chat.tool_choice["function"]["name"], "look");
  EXPECT_EQ(chat.response_format["json_schema"]["name"], "s");
  EXPECT_EQ(chat.extra, json::parse(R"({"frequency_penalty":-2,"presence_penalty":2,
      "logit_bias":{"50256":-100},"logprobs":true,"top_logprobs":20,"parallel_tool_calls":false,
      "reasoning_effort":"low","user":"u1"})"));
}

TEST(OpenAiRequest, NullMeansNotGiven) {
  const ClientRequest request = accepted(with(
      R"("max_tokens":null,"max_completion_tokens":5,"n":null,"temperature":null,"stop":null,"tools":null,
         "tool_choice":null,"response_format":null,"stream":null,"stream_options":null,"seed":null,"user":null)"));
  EXPECT_EQ(request.chat.max_tokens, 5);
  EXPECT_EQ(request.chat.extra, json::object());
}

TEST(OpenAiRequest, IgnoresUnknownAndCostlyMembers) {
  const ClientRequest request =
      accepted(with(R"("service_tier":"priority","store":true,"metadata":{"a":"b"},"x":[1])"));
  EXPECT_EQ(request.chat.extra, json::object());
}

TEST(OpenAiRequest, AnEmptyToolListIsNone) {
  EXPECT_TRUE(accepted(with(R"("tools":[])")).chat.tools.is_null());
}

TEST(OpenAiRequest, RemovesNulFromTexts) {
  const ClientRequest request = accepted(with_message(R"({"role":"user","content":"a\u0000b"})"));
  EXPECT_EQ(request.chat.messages[0].parts[0].text, "ab");
}

struct BadCase {
  std::string body;
  const char* param;
  const char* code;
};

TEST(OpenAiRequest, BadMembersAreNamed) {
  const std::vector<BadCase> cases = {
      {R"({"messages":[{"role":"user","content":"Hi"}]})", "model", "missing_required_parameter"},
      {R"({"model":"m"})", "messages", "missing_required_parameter"},
      {R"({"model":7,"messages":[]})", "model", "invalid_type"},
      {R"({"model":"","messages":[]})", "model", "invalid_value"},
      {R"({"model":"a\u0000b","messages":[]})", "model", "invalid_value"},
      {R"({"model":"a\nb","messages":[]})", "model", "invalid_value"},
      {R"({"model":")" + std::string(257, 'm') + R"(","messages":[]})", "model", "invalid_value"},
      {R"({"model":"m","messages":[]})", "messages", "invalid_value"},
      {R"({"model":"m","messages":{}})", "messages", "invalid_type"},
      {R"({"model":"m","messages":"Hi"})", "messages", "invalid_type"},
      {with_message("7"), "messages[0]", "invalid_type"},
      {with_message("{}"), "messages[0].role", "missing_required_parameter"},
      {with_message(R"({"role":7,"content":"x"})"), "messages[0].role", "invalid_type"},
      {with_message(R"({"role":"robot","content":"x"})"), "messages[0].role", "invalid_value"},
      {with_message(R"({"role":"function","content":"x"})"), "messages[0].role", "invalid_value"},
      {with_message(R"({"role":"user"})"), "messages[0].content", "missing_required_parameter"},
      {with_message(R"({"role":"user","content":null})"), "messages[0].content",
       "missing_required_parameter"},
      {with_message(R"({"role":"user","content":7})"), "messages[0].content", "invalid_type"},
      {with_message(R"({"role":"user","content":[]})"), "messages[0].content", "invalid_value"},
      {with_message(R"({"role":"user","content":["x"]})"), "messages[0].content[0]",
       "invalid_type"},
      {with_message(R"({"role":"user","content":[{"text":"x"}]})"), "messages[0].content[0].type",
       "missing_required_parameter"},
      {with_message(R"({"role":"user","content":[{"type":"input_audio"}]})"),
       "messages[0].content[0].type", "invalid_value"},
      {with_message(R"({"role":"user","content":[{"type":"text"}]})"),
       "messages[0].content[0].text", "missing_required_parameter"},
      {with_message(R"({"role":"system","content":[{"type":"image_url"}]})"),
       "messages[0].content[0].type", "invalid_value"},
      {with_message(R"({"role":"user","content":[{"type":"image_url","image_url":"https://x"}]})"),
       "messages[0].content[0].image_url", "invalid_type"},
      {with_message(
           R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]})"),
       "messages[0].content[0].image_url.url", "invalid_value"},
      {with_message(
           R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x","detail":"best"}}]})"),
       "messages[0].content[0].image_url.detail", "invalid_value"},
      {with_message(R"({"role":"user","content":"x"},{"role":"tool","content":"x"})"),
       "messages[1].tool_call_id", "missing_required_parameter"},
      {with_message(R"({"role":"assistant","tool_calls":[]})"), "messages[0].tool_calls",
       "invalid_value"},
      {with_message(
           R"({"role":"assistant","tool_calls":[{"id":"a","type":"custom","function":{}}]})"),
       "messages[0].tool_calls[0].type", "invalid_value"},
      {with_message(
           R"({"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]})"),
       "messages[0].tool_calls[0].function.arguments", "invalid_type"},
      {with_message(R"({"role":"assistant","function_call":{"name":"f","arguments":""}})"),
       "messages[0].function_call", "unsupported_parameter"},
      {with(R"("max_tokens":0)"), "max_tokens", "invalid_value"},
      {with(R"("max_tokens":-5)"), "max_tokens", "invalid_value"},
      {with(R"("max_tokens":128001)"), "max_tokens", "invalid_value"},
      {with(R"("max_tokens":18446744073709551615)"), "max_tokens", "invalid_value"},
      {with(R"("max_tokens":99999999999999999999999)"), "max_tokens", "invalid_value"},
      {with(R"("max_tokens":1.5)"), "max_tokens", "invalid_value"},
      {with(R"("max_tokens":"100")"), "max_tokens", "invalid_type"},
      {with(R"("max_completion_tokens":128001)"), "max_completion_tokens", "invalid_value"},
      {with(R"("max_tokens":1,"max_completion_tokens":1)"), "max_tokens", "invalid_value"},
      {with(R"("n":0)"), "n", "invalid_value"},
      {with(R"("n":9)"), "n", "invalid_value"},
      {with(R"("n":true)"), "n", "invalid_type"},
      {with(R"("temperature":2.1)"), "temperature", "invalid_value"},
      {with(R"("temperature":-0.1)"), "temperature", "invalid_value"},
      {with(R"("temperature":"hot")"), "temperature", "invalid_type"},
      {with(R"("top_p":1e300)"), "top_p", "invalid_value"},
      {with(R"("seed":1.5)"), "seed", "invalid_value"},
      {with(R"("seed":18446744073709551615)"), "seed", "invalid_value"},
      {with(R"("stop":7)"), "stop", "invalid_type"},
      {with(R"("stop":"")"), "stop", "invalid_value"},
      {with(R"("stop":["a","b","c","d","e"])"), "stop", "invalid_value"},
      {with(R"("stop":["a",7])"), "stop[1]", "invalid_type"},
      {with(R"("stream":"yes")"), "stream", "invalid_type"},
      {with(R"("stream_options":{"include_usage":true})"), "stream_options", "invalid_value"},
      {with(R"("stream":true,"stream_options":[])"), "stream_options", "invalid_type"},
      {with(R"("stream":true,"stream_options":{"include_usage":1})"),
       "stream_options.include_usage", "invalid_type"},
      {with(R"("tools":{})"), "tools", "invalid_type"},
      {with(R"("tools":[{"type":"web_search"}])"), "tools[0].type", "invalid_value"},
      {with(R"("tools":[{"type":"function"}])"), "tools[0].function", "missing_required_parameter"},
      {with(R"("tools":[{"type":"function","function":{"name":"a b"}}])"), "tools[0].function.name",
       "invalid_value"},
      {with(R"("tools":[{"type":"function","function":{"name":"f","parameters":7}}])"),
       "tools[0].function.parameters", "invalid_type"},
      {with(R"("tool_choice":"auto")"), "tool_choice", "invalid_value"},
      {with(R"("tool_choice":"any")"), "tool_choice", "invalid_value"},
      {with(R"("tool_choice":7)"), "tool_choice", "invalid_type"},
      {with(
           R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}})"),
       "tool_choice.function.name", "invalid_value"},
      {with(R"("tool_choice":{"type":"function","function":{"name":"g"}})"),
       "tool_choice.function.name", "invalid_value"},
      {with(R"("response_format":"json")"), "response_format", "invalid_type"},
      {with(R"("response_format":{"type":"xml"})"), "response_format.type", "invalid_value"},
      {with(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema",
       "missing_required_parameter"},
      {with(R"("response_format":{"type":"json_schema","json_schema":{"name":"s","schema":1}})"),
       "response_format.json_schema.schema", "invalid_type"},
      {with(R"("frequency_penalty":3)"), "frequency_penalty", "invalid_value"},
      {with(R"("logprobs":1)"), "logprobs", "invalid_type"},
      {with(R"("top_logprobs":5)"), "top_logprobs", "invalid_value"},
      {with(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs", "invalid_value"},
      {with(R"("logit_bias":{"1":101})"), "logit_bias", "invalid_value"},
      {with(R"("logit_bias":[])"), "logit_bias", "invalid_type"},
      {with(R"("user":"")"), "user", "invalid_value"},
      {with(R"("functions":[])"), "functions", "unsupported_parameter"},
      {with(R"("audio":{})"), "audio", "unsupported_parameter"},
  };
  for (const BadCase& bad : cases) {
    const RequestError error = refused(bad.body);
    EXPECT_EQ(error.param, bad.param) << bad.body;
    EXPECT_EQ(error.code, bad.code) << bad.body;
    EXPECT_EQ(error.message.find("`" + error.param + "`"), 0U) << error.message;
    EXPECT_EQ(error.message.back(), '.') << error.message;
  }
}

TEST(OpenAiRequest, MessagesSayWhatWasSentAndWhatIsAllowed) {
  EXPECT_EQ(refused(with(R"("max_tokens":-5)")).message,
            "`max_tokens` must be an integer from 1 to 128000, not -5.");
  EXPECT_EQ(refused(with(R"("temperature":"hot")")).message,
            "`temperature` must be a number from 0.0 to 2.0, not a string.");
  EXPECT_EQ(refused(with_message(R"({"role":"robot","content":"x"})")).message,
            "`messages[0].role` must be one of system, developer, user, assistant, tool, not "
            "'robot'.");
}

TEST(OpenAiRequest, AValueThatIsNotMeantToBeShownIsNotShown) {
  const std::string secret(100, 's');
  EXPECT_EQ(refused(with_message(R"({"role":")" + secret + R"("})")).message.find(secret),
            std::string::npos);
}

TEST(OpenAiRequest, WhatIsNoJsonObjectIsRefusedAsAWhole) {
  for (const char* body : {"[]", "7", "null", "\"x\""}) {
    EXPECT_EQ(refused(body).code, "invalid_type") << body;
    EXPECT_EQ(refused(body).param, "") << body;
  }
}

// Whatever replaces any value of a full request, there is an answer and no exception.
TEST(OpenAiRequest, NoReplacedValueGetsPastTheBoundary) {
  const json full =
      json::parse(R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"t"},
      {"type":"image_url","image_url":{"url":"https://x","detail":"low"}}]},
      {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
      {"role":"tool","tool_call_id":"c","content":"r"}],
    "tools":[{"type":"function","function":{"name":"f","parameters":{"a":1}}}],
    "tool_choice":{"type":"function","function":{"name":"f"}},"response_format":{"type":"json_schema","json_schema":{"name":"n"}},
    "stop":["x"],"stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"n":2,"temperature":1,
    "logprobs":true,"top_logprobs":2,"logit_bias":{"1":1}})");
  ASSERT_TRUE(std::holds_alternative<ClientRequest>(parse_client_request(full, {})));
  const std::vector<json> intruders = {nullptr,
                                       true,
                                       -1,
                                       1e300,
                                       "",
                                       "x",
                                       json::array(),
                                       json::object(),
                                       json::array({json::object()})};
  int outcomes = 0;
  const json members = full.flatten();
  for (const auto& [pointer, value] : members.items())
    for (json::json_pointer at(pointer); !at.empty(); at.pop_back())
      for (const json& intruder : intruders) {
        json body = full;
        body[at] = intruder;
        EXPECT_NO_THROW(parse_client_request(body, {})) << body.dump();
        ++outcomes;
      }
  EXPECT_GT(outcomes, 500);
}

} // namespace
} // namespace holdfast::openai_format
