#include "gateway/providers/openai.hpp"
#include "tests/gateway/describe.hpp"
#include "tests/gateway/fixture.hpp"

#include <gtest/gtest.h>

namespace holdfast::provider {
namespace {

using nlohmann::json;
using test::describe;

const OpenAi kOpenAi;

std::string replayed(const std::string& name) {
  const auto parsed = kOpenAi.parse_chat(test::recorded_answer("openai", name));
  if (const auto* error = std::get_if<ProviderError>(&parsed)) return describe(*error);
  return describe(std::get<ChatAnswer>(parsed));
}

TEST(OpenAiAdapter, ReadsChatBasic) {
  EXPECT_EQ(
      replayed("chat_basic"),
      "chatcmpl-C4Gm9xikLXbgE8He0BHWeoM03aa72 gpt-5-nano-2025-08-07 1755133833\n"
      "[0] content=\"Hi there! How can I help you today? I can explain concepts, answer questions, "
      "help with writing or editing, brainstorm ideas, assist with coding or math, plan tasks, and "
      "more. Tell me what you\xE2\x80\x99"
      "d like to do.\" finish=\"stop\"\n"
      "usage 8+377 cached 0 written 0 reasoning 320");
}

TEST(OpenAiAdapter, ReadsChatCached) {
  EXPECT_EQ(
      replayed("chat_cached"),
      "chatcmpl-BpJAaDu4TDQQAGQSrmLLVy6RWZTsy gpt-4o-2024-08-06 1751568116\n"
      R"([0] content="Structuring a database schema effectively is crucial for ensuring data integrity, )"
      R"(performance, and scalability. Here are some general guidelines to help you design a robust database )"
      R"(schema:\n\n1. **Understand Requirements:**\n   - Gather all the requirements and understand the data )"
      R"(you need to store.\n   - Identify the entities (tables) and relationships between them.\n\n)"
      R"(2. **Normalization:**\n   - Apply normalization rules to eliminate redundancy and ensure data )"
      R"(integrity.\n   - Start with the first normal form (1NF) and proceed" finish="length")"
      "\nusage 1220+100 cached 1152 written 0 reasoning 0");
}

TEST(OpenAiAdapter, ReadsChatReasoning) {
  EXPECT_EQ(
      replayed("chat_reasoning"),
      "chatcmpl-CJYvbsw8VZh862zGsIV5ZJtMnVFej gpt-5-nano-2025-08-07 1758778531\n"
      R"([0] content="Ball costs 5 cents.\n\nReason: Let ball = x dollars. Then bat = x + 1. )"
      "Total: x + (x + 1) = 1.10 \xE2\x86\x92 2x + 1 = 1.10 \xE2\x86\x92 2x = 0.10 "
      "\xE2\x86\x92 x = 0.05.\" finish=\"stop\"\n"
      "usage 27+267 cached 0 written 0 reasoning 192");
}

TEST(OpenAiAdapter, ReadsChatServiceTier) {
  EXPECT_EQ(replayed("chat_service_tier"),
            "chatcmpl-Cf5wGPHPBqszCcDHyQPt9SNASzZKN gpt-5-2025-08-07 1763910312\n"
            "[0] content=\"Hello! How can I help you today?\" finish=\"stop\"\n"
            "usage 8+82 cached 0 written 0 reasoning 64");
}

TEST(OpenAiAdapter, ReadsChatStopSequence) {
  EXPECT_EQ(replayed("chat_stop_sequence"),
            "chatcmpl-BfUgyreG4fpnDXvHKXtRkevWb6i3p o3-mini-2025-01-31 1749229128\n"
            "[0] content=\"The capital of France is \" finish=\"stop\"\n"
            "usage 31+467 cached 0 written 0 reasoning 448");
}

TEST(OpenAiAdapter, ReadsChatTools) {
  EXPECT_EQ(
      replayed("chat_tools"),
      "chatcmpl-C4GmWI2Sl7HnrQsKorSAZkJy94dpT gpt-5-nano-2025-08-07 1755133856\n"
      "[0] call id=\"call_8fxy20OEu9ulvvaa5b5CzVA4\" name=\"get_current_weather\" "
      R"(arguments="{\"location\":\"Boston, MA\",\"unit\":\"fahrenheit\"}" finish="tool_calls")"
      "\nusage 162+287 cached 0 written 0 reasoning 256");
}

TEST(OpenAiAdapter, ClassifiesRecordedErrors) {
  EXPECT_EQ(
      replayed("error_400_context_length"),
      "error context_length 400 code=\"context_length_exceeded\" message=\"Your input exceeds "
      "the context window of this model. Please adjust your input and try again.\"");
  EXPECT_EQ(replayed("error_400_unsupported_parameter"),
            "error invalid_request 400 code=\"unsupported_parameter\" message=\"Unsupported "
            "parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.\"");
  EXPECT_EQ(replayed("error_401_invalid_key"),
            "error auth 401 code=\"invalid_api_key\" message=\"Incorrect API key provided: "
            "<[redacted]>. You can find your API key at "
            "https://platform.openai.com/account/api-keys.\"");
  EXPECT_EQ(replayed("error_404_unknown_model"),
            "error invalid_request 404 code=\"model_not_found\" message=\"The model "
            "`gpt-4.1-nano-wrong` does not exist or you do not have access to it.\"");
  EXPECT_EQ(replayed("error_429_insufficient_quota"),
            "error quota_exhausted 429 code=\"insufficient_quota\" message=\"You exceeded your "
            "current quota, please check your plan and billing details. For more information on "
            "this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors.\"");
  EXPECT_EQ(replayed("error_429_rate_limit_tpm"),
            "error rate_limit 429 code=\"rate_limit_exceeded\" message=\"Rate limit reached for "
            "gpt-4o in organization org-REDACTED on tokens per min (TPM): Limit 30000, Used 29937, "
            "Requested 385. Please try again in 644ms.\"");
}

TEST(OpenAiAdapter, ARateLimitSaysWhenToComeBackAndAnEmptyAccountDoesNot) {
  HttpAnswer limited = test::recorded_answer("openai", "error_429_rate_limit_tpm");
  limited.headers.emplace("retry-after", "2");
  EXPECT_EQ(kOpenAi.parse_error(limited).retry_after_ms, 2000);
  HttpAnswer empty = test::recorded_answer("openai", "error_429_insufficient_quota");
  empty.headers.emplace("retry-after", "2");
  EXPECT_EQ(kOpenAi.parse_error(empty).retry_after_ms, std::nullopt);
}

TEST(OpenAiAdapter, ErrorsWithStrangeBodiesAreClassifiedByStatus) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "error server 500 message=\"The provider answered with status 500 and no body.\""},
      {"<html>oops</html>", "error server 500 message=\"The provider answered with status 500 and "
                            "a body that is not its JSON: <html>oops</html>\""},
      {"[]", "error server 500 message=\"The provider answered with status 500 and a body that is "
             "not its JSON: []\""},
      {R"({"error":"broken"})", "error server 500 message=\"broken\""},
      {R"({"error":{"message":7,"code":503}})", "error server 500 code=\"503\" message=\"7\""},
      {R"({"error":[]})", "error server 500 message=\"The provider answered with status 500 and a "
                          "body that is not its JSON: {\\\"error\\\":[]}\""}};
  for (const auto& [body, expected] : cases)
    EXPECT_EQ(describe(kOpenAi.parse_error({500, {}, body})), expected);
}

TEST(OpenAiAdapter, AnOkThatIsNoAnswerMayHaveBeenCharged) {
  const std::string deep(200000, '[');
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("null"), std::string(R"({"choices":[]})"),
        std::string(R"({"choices":[7]})"), std::string(R"({"choices":{"a":1}})"), deep,
        R"({"choices":[{"message":)" + deep}) {
    const auto parsed = kOpenAi.parse_chat({200, {}, body});
    const auto* error = std::get_if<ProviderError>(&parsed);
    ASSERT_NE(error, nullptr) << body.substr(0, 50);
    EXPECT_EQ(error->error_class, ErrorClass::server);
    EXPECT_EQ(error->code, "invalid_answer");
    EXPECT_TRUE(error->maybe_charged);
  }
}

TEST(OpenAiAdapter, AnswersWithStrangeMembersStillRead) {
  const auto parsed = kOpenAi.parse_chat({200, {}, R"({"id":7,"created":-1,"model":null,"usage":7,
    "choices":[{"index":"x","finish_reason":7,"message":{"content":[1],"tool_calls":[7,{"function":{"name":1}}]}}]})"});
  ASSERT_TRUE(std::holds_alternative<ChatAnswer>(parsed));
  EXPECT_EQ(describe(std::get<ChatAnswer>(parsed)), "  0\n[0] call call\nno usage");
}

TEST(OpenAiAdapter, AbsurdUsageIsNoUsage) {
  using openai_format::parse_usage;
  EXPECT_FALSE(parse_usage(json::parse(R"({"prompt_tokens":-1,"completion_tokens":1})")));
  EXPECT_FALSE(parse_usage(json::parse(R"({"prompt_tokens":1})")));
  EXPECT_FALSE(parse_usage(json::parse(R"({"prompt_tokens":1,"completion_tokens":1.5})")));
  EXPECT_FALSE(parse_usage(json::parse(R"({"prompt_tokens":1,"completion_tokens":1e30})")));
  EXPECT_FALSE(
      parse_usage(json::parse(R"({"prompt_tokens":1,"completion_tokens":18446744073709551615})")));
  EXPECT_FALSE(parse_usage(nullptr));
  const auto usage = parse_usage(json::parse(
      R"({"prompt_tokens":5,"completion_tokens":6,"prompt_tokens_details":{"cached_tokens":50},
          "completion_tokens_details":{"reasoning_tokens":60}})"));
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(describe(*usage), "usage 5+6 cached 5 written 0 reasoning 6");
}

json sent_body(const ChatRequest& request) {
  return json::parse(kOpenAi.chat_request(request, "key").body);
}

TEST(OpenAiAdapter, SendsWhatWasRecorded) {
  for (const char* name : {"chat_basic", "chat_cached", "chat_reasoning", "chat_stop_sequence",
                           "chat_tools", "stream_basic", "stream_tools", "stream_usage_details"}) {
    const ChatRequest request = test::recorded_request("openai", name);
    const json recorded = test::load_fixture("openai", name)["request"]["body"];
    const json sent = sent_body(request);
    for (const auto& [member, value] : recorded.items())
      EXPECT_EQ(sent[member], value) << name << " " << member;
    EXPECT_EQ(sent.contains("max_tokens") + sent.contains("max_completion_tokens"), 1) << name;
    EXPECT_EQ(sent["stream"], recorded.value("stream", false)) << name;
    EXPECT_EQ(sent.contains("stream_options"), recorded.value("stream", false)) << name;
  }
}

TEST(OpenAiAdapter, RequestLineAndHeaders) {
  ChatRequest request = test::recorded_request("openai", "chat_basic");
  HttpRequest http = kOpenAi.chat_request(request, "sk-0123456789");
  EXPECT_EQ(http.method, "POST");
  EXPECT_EQ(http.path, "/chat/completions");
  using Headers = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(http.headers, (Headers{{"Content-Type", "application/json"},
                                   {"Accept", "application/json"},
                                   {"Authorization", "Bearer sk-0123456789"}}));
  EXPECT_EQ(http.body.find("sk-0123456789"), std::string::npos);
  request.stream = true;
  EXPECT_EQ(kOpenAi.chat_request(request, "k").headers[1].second, "text/event-stream");
}

TEST(OpenAiAdapter, AlwaysBoundsTheCompletionByTheMemberTheModelTakes) {
  ChatRequest request = test::recorded_request("openai", "chat_basic");
  request.max_tokens = 123;
  for (const char* model : {"o1", "o1-mini", "o3-mini-2025-01-31", "o4-mini", "gpt-5",
                            "gpt-5-nano-2025-08-07", "ft:o4-mini:acme::abc"}) {
    request.model = model;
    EXPECT_EQ(sent_body(request)["max_completion_tokens"], 123) << model;
    EXPECT_FALSE(sent_body(request).contains("max_tokens")) << model;
  }
  for (const char* model : {"gpt-4o-mini", "gpt-4", "gpt-4.1", "chatgpt-4o-latest", "omni"}) {
    request.model = model;
    EXPECT_EQ(sent_body(request)["max_tokens"], 123) << model;
    EXPECT_FALSE(sent_body(request).contains("max_completion_tokens")) << model;
  }
}

TEST(OpenAiAdapter, ExtraNeverOverridesWhatTheHoldWasSizedFor) {
  ChatRequest request = test::recorded_request("openai", "chat_cached");
  request.extra = {{"max_tokens", 999999}, {"n", 8}, {"model", "gpt-5-pro"}, {"user", "u"}};
  request.choices = 2;
  const json sent = sent_body(request);
  EXPECT_EQ(sent["max_tokens"], 100);
  EXPECT_EQ(sent["n"], 2);
  EXPECT_EQ(sent["model"], "gpt-4o");
  EXPECT_EQ(sent["user"], "u");
}

TEST(OpenAiAdapter, SendsPartsCallsAndTheirAnswers) {
  auto parsed = openai_format::parse_client_request(json::parse(R"({"model":"gpt-4o","messages":[
      {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x","detail":"low"}}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{"}}]},
      {"role":"tool","tool_call_id":"c1","content":"r"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required",
      "response_format":{"type":"json_object"},"seed":7,"top_p":0.5,"temperature":0.25,"n":3,"max_tokens":9,"stop":"x"})"),
                                                    {});
  const json sent = sent_body(std::get<openai_format::ClientRequest>(parsed).chat);
  EXPECT_EQ(sent, json::parse(R"({"model":"gpt-4o","messages":[
      {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x","detail":"low"}}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{"}}]},
      {"role":"tool","tool_call_id":"c1","content":"r"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required",
      "response_format":{"type":"json_object"},"seed":7,"top_p":0.5,"temperature":0.25,"n":3,"max_tokens":9,"stop":["x"],
      "stream":false})"));
}

} // namespace
} // namespace holdfast::provider
