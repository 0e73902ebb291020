// What no recording shows: rare members, ends and errors of single providers.
#include "gateway/openai_format.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/providers/reported_cost.hpp"
#include "gateway/providers/think_text.hpp"
#include "tests/gateway/describe.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/gateway/stream_pieces.hpp"

#include <gtest/gtest.h>

namespace holdfast::provider {
namespace {

using test::describe;
using Lines = std::vector<std::string>;

const Adapter& adapter_of(const std::string& provider) {
  return *find_provider(provider)->adapter;
}

std::string read(const std::string& provider, const std::string& body, int status = 200) {
  const auto parsed = adapter_of(provider).parse_chat({status, {}, body});
  if (const auto* error = std::get_if<ProviderError>(&parsed)) return describe(*error);
  return describe(std::get<ChatAnswer>(parsed));
}

Lines streamed(const std::string& provider, const std::string& body) {
  return describe(test::parse_in_pieces(adapter_of(provider), body, {}));
}

std::string answer_with(const std::string& message, const std::string& rest) {
  return R"({"id":"i","model":"m","created":1,"choices":[{"index":0,"finish_reason":"stop","message":)" +
         message + "}]" + rest + "}";
}

std::pair<std::string, std::string> parted(const std::string& text, std::size_t split) {
  ThinkText parter;
  std::pair<std::string, std::string> parts;
  parter.feed(std::string_view(text).substr(0, split), parts.first, parts.second);
  parter.feed(std::string_view(text).substr(split), parts.first, parts.second);
  parter.finish(parts.first, parts.second);
  return parts;
}

TEST(ThinkText, PartsThoughtsFromWordsAtEverySplit) {
  using Parts = std::pair<std::string, std::string>;
  const std::vector<std::pair<std::string, Parts>> cases = {
      {"<think>a</think>b", {"a", "b"}},
      {"\n <think>\n\na < b</think>\n\nb <think>c</think>", {"a < b", "b <think>c</think>"}},
      {"<think>never closed</thin", {"never closed</thin", ""}},
      {"<think></think>", {"", ""}},
      {"<thinking>x</thinking>", {"", "<thinking>x</thinking>"}},
      {"<thi", {"", "<thi"}},
      {"  plain", {"", "  plain"}},
      {"say <think>x</think>", {"", "say <think>x</think>"}},
      {"", {"", ""}}};
  for (const auto& [text, expected] : cases)
    for (std::size_t split = 0; split <= text.size(); ++split)
      EXPECT_EQ(parted(text, split), expected) << text << " at " << split;
}

TEST(ReportedCost, IsTheTextThatWasWritten) {
  const std::string body = R"( {"usage":{"cost":1,"x":"}","cost":0.10000000000000000555}} )";
  EXPECT_EQ(cost_text(body, {"usage", "cost"}), "0.10000000000000000555");
  EXPECT_EQ(cost_text(R"({"c":9.68e-05})", {"c"}), "9.68e-05");
  for (const char* bad :
       {R"({"c":-1})", R"({"c":"1"})", R"({"c":null})", R"({"c":1e999999})", R"({"c":{}})",
        R"({"d":1})", "[1]", "", R"({"c":1.00000000000000000000000000000000000000001})"})
    EXPECT_EQ(cost_text(bad, {"c"}), std::nullopt) << bad;
  EXPECT_TRUE(is_zero_cost("0.00e5"));
  EXPECT_FALSE(is_zero_cost("0.001"));
}

TEST(ProviderDialect, ACostOnTopOfTheCallersOwnKeyIsAdded) {
  EXPECT_EQ(read("openrouter", answer_with(R"({"content":"a"})",
                                           R"(,"usage":{"prompt_tokens":1,"completion_tokens":2,
      "cost":0.05,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0000000000001}})")),
            "i m 1\n[0] content=\"a\" finish=\"stop\"\n"
            "usage 1+2 cached 0 written 0 reasoning 0 cost 0.0500000000001");
}

TEST(ProviderDialect, ReasoningThatIsCountedBesideTheCompletionIsAdded) {
  EXPECT_EQ(read("perplexity", answer_with(R"({"content":"a"})", R"(,"usage":{"prompt_tokens":33,
      "completion_tokens":7163,"reasoning_tokens":193774,"cost":{"total_cost":0.82}})")),
            "i m 1\n[0] content=\"a\" finish=\"stop\"\n"
            "usage 33+200937 cached 0 written 0 reasoning 193774 cost 0.82");
  EXPECT_EQ(read("deepinfra", answer_with(R"({"content":"a"})", R"(,"usage":{"prompt_tokens":3,
      "completion_tokens":10,"completion_tokens_details":{"reasoning_tokens":90}})")),
            "i m 1\n[0] content=\"a\" finish=\"stop\"\n"
            "usage 3+100 cached 0 written 0 reasoning 90");
}

TEST(ProviderDialect, FinishReasonsAreOpenAis) {
  const auto finish = [](const std::string& provider, const std::string& word) {
    const std::string body = answer_with(R"({"content":"a"})", "");
    const std::string stop = R"("finish_reason":"stop")";
    std::string changed = body;
    changed.replace(body.find(stop), stop.size(), R"("finish_reason":")" + word + "\"");
    return read(provider, changed);
  };
  EXPECT_NE(finish("mistral", "model_length").find("finish=\"length\""), std::string::npos);
  EXPECT_NE(finish("together", "eos").find("finish=\"stop\""), std::string::npos);
  EXPECT_NE(finish("custom", "whatever").find("finish=\"stop\""), std::string::npos);
  EXPECT_EQ(finish("openrouter", "error"),
            "error server 200 code=\"invalid_answer\" message=\"The provider failed while it "
            "answered.\" maybe_charged");
}

TEST(ProviderDialect, AModeratedPromptIsNoMatterOfTheKey) {
  EXPECT_EQ(
      read("openrouter",
           R"({"error":{"code":403,"message":"Flagged","metadata":{"reasons":["violence"]}}})",
           403),
      "error content_filter 403 code=\"403\" message=\"Flagged\"");
}

TEST(ProviderDialect, GeminiRefusesAPromptInsideOfA200) {
  const std::string body =
      R"({"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}})";
  const std::string expected = "error content_filter 200 code=\"SAFETY\" message=\"The provider "
                               "refused the prompt: SAFETY.\" maybe_charged";
  EXPECT_EQ(read("gemini", body), expected);
  EXPECT_EQ(streamed("gemini", "data: " + body + "\r\n\r\n"), Lines{expected});
}

TEST(ProviderDialect, GeminisDailyQuotaIsNotTriedAgain) {
  EXPECT_EQ(
      read("gemini",
           R"([{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[
      {"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]},{"retryDelay":"34.4s"}]}}])",
           429),
      "error quota_exhausted 429 code=\"RESOURCE_EXHAUSTED\" message=\"quota\"");
  EXPECT_EQ(read("gemini",
                 R"({"error":{"code":503,"message":"busy","status":"UNAVAILABLE","details":[
      {"retryDelay":"34.4s"}]}})",
                 503),
            "error overloaded 503 code=\"UNAVAILABLE\" message=\"busy\" retry 34400");
}

TEST(ProviderDialect, GeminisThoughtsAndSafetyStops) {
  EXPECT_EQ(read("gemini",
                 R"({"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"a"}]},
      "finishReason":"SAFETY"},{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]})"),
            "  0\n[0] content=\"a\" reasoning=\"hm\" finish=\"content_filter\"\n"
            "[1] content=\"b\" finish=\"stop\"\nno usage");
}

TEST(ProviderDialect, AnthropicsRefusalAndCitations) {
  EXPECT_EQ(
      read("anthropic",
           R"({"id":"i","model":"m","stop_reason":"refusal","content":[{"type":"text","text":"a",
      "citations":[{"type":"char_location","cited_text":"t","document_index":0,"document_title":"D"},
                   {"type":"web_search_result_location","cited_text":"u","url":"https://x","title":"T"}]},
      {"type":"redacted_thinking","data":"x"}]})"),
      "i m 0\n[0] content=\"a\" cites document=\"0\" title=\"D\" text=\"t\" cites "
      "url=\"https://x\" title=\"T\" text=\"u\" finish=\"content_filter\"\nno usage");
}

TEST(ProviderDialect, AnthropicsResetsCountFromItsDate) {
  HttpAnswer limited = test::recorded_answer("anthropic", "error_429_rate_limit");
  limited.headers.emplace("date", "Tue, 26 Mar 2024 19:59:30 GMT");
  EXPECT_EQ(adapter_of("anthropic").parse_error(limited).retry_after_ms, 30000);
}

TEST(ProviderDialect, CoheresMonthlyAllowanceIsAnEmptyAccount) {
  EXPECT_EQ(
      read(
          "cohere",
          R"({"message":"You are using a Trial key, which is limited to 1000 API calls / month."})",
          429),
      "error quota_exhausted 429 message=\"You are using a Trial key, which is limited to "
      "1000 API calls / month.\"");
}

TEST(ProviderDialect, CoheresFailureInTheStream) {
  EXPECT_EQ(streamed("cohere",
                     "data: {\"type\":\"message-start\",\"id\":\"i\"}\n\ndata: "
                     "{\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\"}}\n\n"),
            (Lines{"[0]", "error server 200 code=\"invalid_answer\" message=\"The provider failed "
                          "while it answered.\" maybe_charged"}));
}

// The end mark may be missing when every choice has said its last word.
TEST(ProviderDialect, AStreamWithoutItsMarkIsCompleteWhenAllChoicesAre) {
  const std::string first = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
                            "\"finish_reason\":\"stop\"}]}\n\n";
  const std::string other = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n";
  const std::string broken =
      "error server 200 code=\"invalid_answer\" message=\"The provider ended the stream before it "
      "was complete.\" maybe_charged";
  for (const char* provider : {"together", "groq", "custom", "mistral"}) {
    EXPECT_EQ(streamed(provider, first), (Lines{R"([0] content="a" finish="stop")", "done"}));
    EXPECT_EQ(streamed(provider, first + other),
              (Lines{R"([0] content="a" finish="stop")", R"([1] content="b")", broken}));
  }
}

TEST(ProviderDialect, ThoughtsInAStreamAreParted) {
  const auto chunk = [](const std::string& content) {
    return "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + content + "\"}}]}\n\n";
  };
  EXPECT_EQ(streamed("custom", chunk("<th") + chunk("ink>hm</") + chunk("think>\\n") + chunk("a<") +
                                   "data: [DONE]\n\n"),
            (Lines{"[0]", R"([0] reasoning="hm")", "[0]", R"([0] content="a<")", "done"}));
  EXPECT_EQ(streamed("custom", chunk("<th") + "data: [DONE]\n\n"),
            (Lines{"[0]", R"([0] content="<th")", "done"}));
}

// What is written to a client is read back when the call is repeated.
TEST(Citations, SurviveBeingWritten) {
  ChatAnswer answer;
  answer.id = "i";
  answer.model = "m";
  Choice choice;
  choice.content = "a";
  choice.finish_reason = "stop";
  choice.citations = {{"https://x", "", "T", "", 1, 2},
                      {"", "doc:0", "D", "t", 3, 4},
                      {"https://y", "", "", "", std::nullopt, std::nullopt}};
  answer.choices.push_back(choice);
  const nlohmann::json written = openai_format::write_answer(answer);
  const nlohmann::json& annotations = written["choices"][0]["message"]["annotations"];
  EXPECT_EQ(annotations[0], nlohmann::json::parse(R"({"type":"url_citation","url_citation":
      {"url":"https://x","title":"T","start_index":1,"end_index":2}})"));
  EXPECT_EQ(annotations[1]["type"], "document_citation");
  EXPECT_EQ(describe(*openai_format::parse_answer(written)), describe(answer));
}

TEST(Registry, EveryProviderIsComplete) {
  for (const ProviderInfo& info : all_providers()) {
    if (info.adapter == nullptr) continue;
    EXPECT_EQ(find_provider(info.name), &info);
    EXPECT_FALSE(info.display_name.empty());
    EXPECT_NE(info.key_variable.find("_API_KEY"), std::string::npos);
    EXPECT_NE(info.base_url_variable.find("_BASE_URL"), std::string::npos);
    EXPECT_EQ(info.default_base_url.empty(), info.name == "custom");
    EXPECT_EQ(info.default_model.empty(), info.name == "custom");
  }
  EXPECT_EQ(all_providers().size(), 12U);
}

} // namespace
} // namespace holdfast::provider
