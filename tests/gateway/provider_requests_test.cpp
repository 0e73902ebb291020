// What is sent to each provider: path, key, body.
#include "gateway/openai_format.hpp"
#include "gateway/providers/mistral.hpp"
#include "gateway/providers/registry.hpp"
#include "tests/gateway/describe.hpp"
#include "tests/gateway/fixture.hpp"

#include <gtest/gtest.h>

namespace holdfast::provider {
namespace {

using nlohmann::json;

const Adapter& adapter_of(const std::string& provider) {
  return *find_provider(provider)->adapter;
}

ChatRequest request_of(const std::string& body) {
  auto parsed = openai_format::parse_client_request(json::parse(body), {});
  if (auto* error = std::get_if<openai_format::RequestError>(&parsed))
    throw std::runtime_error(error->message);
  return std::get<openai_format::ClientRequest>(parsed).chat;
}

json sent(const std::string& provider, const std::string& body) {
  return json::parse(adapter_of(provider).chat_request(request_of(body), "key").body);
}

std::string header_of(const HttpRequest& http, const std::string& name) {
  for (const auto& [known, value] : http.headers)
    if (known == name) return value;
  return "";
}

// A body that OpenAI's own recorded request has, with all that the dialects translate.
constexpr const char* kFull = R"({"model":"m","messages":[
  {"role":"developer","content":"be brief"},
  {"role":"user","name":"ann","content":[{"type":"text","text":"look"},
    {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
  {"role":"assistant","content":null,"tool_calls":[
    {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
    {"id":"call_2","type":"function","function":{"name":"g","arguments":"not json"}}]},
  {"role":"tool","tool_call_id":"call_1","content":"{\"y\":2}"},
  {"role":"tool","tool_call_id":"call_2","content":"plain"}],
  "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"x":{"type":"integer"}}}}},
           {"type":"function","function":{"name":"g"}}],
  "tool_choice":"required","max_tokens":9,"temperature":0.5,"top_p":0.75,"stop":["END"],"user":"u1","parallel_tool_calls":false})";

// The recorded request's path is the one we use, with the base URL's part before it.
TEST(ProviderRequests, GoToTheRecordedPath) {
  const std::vector<std::pair<std::string, std::string>> recorded = {
      {"groq", "chat_basic"},          {"together", "chat_basic"},   {"deepinfra", "chat_basic"},
      {"mistral", "chat_basic"},       {"openrouter", "chat_basic"}, {"perplexity", "chat_basic"},
      {"anthropic", "messages_basic"}, {"cohere", "chat_basic"}};
  for (const auto& [provider, name] : recorded) {
    const std::string base = find_provider(provider)->default_base_url;
    const HttpRequest http = adapter_of(provider).chat_request(request_of(kFull), "key-0123456789");
    const json request = test::load_fixture(provider, name)["request"];
    EXPECT_EQ(http.method, request["method"]);
    EXPECT_EQ(
        base.substr(base.find('/', 8) == std::string::npos ? base.size() : base.find('/', 8)) +
            http.path,
        request["path"])
        << provider;
    EXPECT_EQ(http.body.find("key-0123456789"), std::string::npos);
    EXPECT_EQ(http.path.find("key-0123456789"), std::string::npos);
    const bool own = provider == "anthropic";
    EXPECT_EQ(header_of(http, own ? "x-api-key" : "Authorization"),
              own ? "key-0123456789" : "Bearer key-0123456789");
  }
}

TEST(ProviderRequests, GeminiHasTheModelInItsPath) {
  ChatRequest request =
      request_of(R"({"model":"gemini-2.5-flash","messages":[{"role":"user","content":"a"}]})");
  const HttpRequest http = adapter_of("gemini").chat_request(request, "AIza-key");
  EXPECT_EQ("/v1beta" + http.path,
            test::load_fixture("gemini", "generate_basic")["request"]["path"]);
  EXPECT_EQ(header_of(http, "x-goog-api-key"), "AIza-key");
  request.stream = true;
  EXPECT_EQ("/v1beta" + adapter_of("gemini").chat_request(request, "k").path,
            test::load_fixture("gemini", "stream_thinking_usage")["request"]["path"]);
  request.stream = false;
  request.model = "models/../a b?x#y/z";
  EXPECT_EQ(adapter_of("gemini").chat_request(request, "k").path,
            "/models/..%2Fa%20b%3Fx%23y%2Fz:generateContent");
}

// Whatever a provider calls it, the completion is bounded by what the hold was sized for.
TEST(ProviderRequests, AlwaysBoundTheCompletion) {
  for (const ProviderInfo& info : all_providers()) {
    if (info.adapter == nullptr) continue;
    const json body = sent(
        info.name, R"({"model":"m","max_tokens":77,"messages":[{"role":"user","content":"a"}]})");
    const json& bound = info.name == "gemini" ? body["generationConfig"]["maxOutputTokens"]
                        : info.name == "groq" ? body["max_completion_tokens"]
                                              : body["max_tokens"];
    EXPECT_EQ(bound, 77) << info.name;
  }
}

TEST(ProviderRequests, RecordedMessagesAndToolsAreSentAsTheyWere) {
  const std::vector<std::pair<std::string, std::string>> recorded = {
      {"groq", "chat_basic"},         {"groq", "chat_tools"},
      {"groq", "stream_basic"},       {"together", "chat_tools"},
      {"together", "stream_basic"},   {"deepinfra", "chat_basic"},
      {"deepinfra", "stream_basic"},  {"mistral", "chat_tools"},
      {"mistral", "stream_tools"},    {"openrouter", "chat_tools"},
      {"openrouter", "stream_tools"}, {"perplexity", "chat_multi_turn"},
      {"perplexity", "stream_basic"}};
  for (const auto& [provider, name] : recorded) {
    const json was = test::load_fixture(provider, name)["request"]["body"];
    const json body = sent(provider, was.dump());
    for (const char* member : {"model", "messages", "tools", "tool_choice", "stream_options"}) {
      if (was.contains(member)) {
        EXPECT_EQ(body[member], was[member]) << provider << " " << name << " " << member;
      }
    }
    EXPECT_EQ(body["stream"], was.value("stream", false));
  }
}

TEST(ProviderRequests, StreamOptionsGoOnlyWhereTheyAreTaken) {
  const char* body = R"({"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]})";
  for (const char* provider : {"openai", "groq", "openrouter", "perplexity", "custom"})
    EXPECT_TRUE(sent(provider, body).contains("stream_options")) << provider;
  for (const char* provider : {"mistral", "together", "deepinfra", "cohere", "anthropic", "gemini"})
    EXPECT_FALSE(sent(provider, body).contains("stream_options")) << provider;
}

TEST(ProviderRequests, MistralsDialect) {
  const json body =
      sent("mistral", R"({"model":"m","seed":5,"messages":[{"role":"developer","content":"d"},
    {"role":"user","name":"ann","content":"a"},
    {"role":"assistant","content":null,"tool_calls":[{"id":"call_abcdefgh","type":"function","function":{"name":"f","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"call_abcdefgh","content":"r"}],"user":"u"})");
  EXPECT_EQ(body["random_seed"], 5);
  EXPECT_FALSE(body.contains("seed"));
  EXPECT_FALSE(body.contains("user"));
  EXPECT_EQ(body["messages"][0]["role"], "system");
  EXPECT_FALSE(body["messages"][1].contains("name"));
  EXPECT_EQ(body["messages"][2]["tool_calls"][0]["id"], body["messages"][3]["tool_call_id"]);
  EXPECT_EQ(body["messages"][3]["tool_call_id"].get<std::string>().size(), 9U);
  EXPECT_EQ(mistral_call_id("bAyGEuxg1"), "bAyGEuxg1");
  EXPECT_NE(mistral_call_id("call_1"), mistral_call_id("call_2"));
}

TEST(ProviderRequests, CustomNeedsNoKey) {
  const HttpRequest http = adapter_of("custom").chat_request(request_of(kFull), "");
  EXPECT_EQ(header_of(http, "Authorization"), "");
  EXPECT_EQ(http.path, "/chat/completions");
}

TEST(ProviderRequests, AnthropicsDialect) {
  EXPECT_EQ(sent("anthropic", kFull), json::parse(R"({"model":"m","max_tokens":9,"stream":false,
    "system":[{"type":"text","text":"be brief"}],"temperature":0.5,"top_p":0.75,"stop_sequences":["END"],
    "messages":[{"role":"user","content":[{"type":"text","text":"look"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{"x":1}},
        {"type":"tool_use","id":"call_2","name":"g","input":{"arguments":"not json"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"{\"y\":2}"}]},
        {"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"plain"}]}]}],
    "tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"x":{"type":"integer"}}}},
             {"name":"g","input_schema":{"type":"object"}}],
    "tool_choice":{"type":"any","disable_parallel_tool_use":true},"metadata":{"user_id":"u1"}})"));
}

TEST(ProviderRequests, AnthropicsRecordedTurnIsSentAsItWas) {
  const json was = test::load_fixture("anthropic", "messages_tool_result_turn")["request"]["body"];
  ChatRequest request =
      request_of(R"json({"model":"claude-haiku-4-5-20251001","max_tokens":64000,"messages":[
    {"role":"user","content":"What's the weather in Berlin? (52.5200, 13.4050)"},
    {"role":"assistant","content":null,"tool_calls":[{"id":"toolu_01Ay5KzhmQYMK53svGLaAxfc","type":"function",
      "function":{"name":"weather","arguments":"{\"latitude\": \"52.5200\", \"longitude\": \"13.4050\"}"}}]},
    {"role":"tool","tool_call_id":"toolu_01Ay5KzhmQYMK53svGLaAxfc","content":"Current weather at 52.5200, 13.4050: 15\u00b0C, Wind: 10 km/h"}]})json");
  const json& tool = was["tools"][0];
  request.tools = json::array({{{"type", "function"},
                                {"function",
                                 {{"name", tool["name"]},
                                  {"description", tool["description"]},
                                  {"parameters", tool["input_schema"]}}}}});
  EXPECT_EQ(json::parse(adapter_of("anthropic").chat_request(request, "k").body), was);
}

TEST(ProviderRequests, AnthropicsSchemaIsAskedForAsRecorded) {
  const json was = test::load_fixture("anthropic", "messages_retry_after_on_200")["request"];
  ChatRequest request = request_of(
      R"({"model":"claude-sonnet-4-5-20250929","messages":[{"role":"user","content":"a"}]})");
  request.response_format = {
      {"type", "json_schema"},
      {"json_schema", {{"name", "j"}, {"schema", was["body"]["output_format"]["schema"]}}}};
  const HttpRequest http = adapter_of("anthropic").chat_request(request, "k");
  EXPECT_EQ(json::parse(http.body)["output_format"], was["body"]["output_format"]);
  EXPECT_EQ(header_of(http, "anthropic-beta"), was["headers"]["anthropic-beta"]);
  EXPECT_EQ(header_of(http, "anthropic-version"), was["headers"]["anthropic-version"]);
}

TEST(ProviderRequests, GeminisDialect) {
  EXPECT_EQ(sent("gemini", kFull),
            json::parse(R"({"systemInstruction":{"parts":[{"text":"be brief"}]},
    "contents":[{"role":"user","parts":[{"text":"look"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},
      {"role":"model","parts":[{"functionCall":{"name":"f","args":{"x":1}}},{"functionCall":{"name":"g","args":{"arguments":"not json"}}}]},
      {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"y":2}}},{"functionResponse":{"name":"g","response":{"result":"plain"}}}]}],
    "tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"x":{"type":"integer"}}}},{"name":"g"}]}],
    "toolConfig":{"functionCallingConfig":{"mode":"ANY"}},
    "generationConfig":{"maxOutputTokens":9,"temperature":0.5,"topP":0.75,"stopSequences":["END"]}})"));
  const json schema = sent(
      "gemini",
      R"({"model":"m","n":2,"seed":7,"presence_penalty":0.5,"messages":[{"role":"user","content":"a"}],
    "response_format":{"type":"json_schema","json_schema":{"name":"j","schema":{"type":"object"}}}})")
      ["generationConfig"];
  EXPECT_EQ(
      schema,
      json::parse(R"({"maxOutputTokens":1024,"candidateCount":2,"seed":7,"presencePenalty":0.5,
    "responseMimeType":"application/json","responseJsonSchema":{"type":"object"}})"));
}

TEST(ProviderRequests, CoheresDialect) {
  const json body = sent("cohere", kFull);
  EXPECT_EQ(body["tool_choice"], "REQUIRED");
  EXPECT_EQ(body["p"], 0.75);
  EXPECT_EQ(body["stop_sequences"], json::array({"END"}));
  EXPECT_EQ(body["messages"][0]["role"], "system");
  EXPECT_FALSE(body["messages"][2].contains("content"));
  for (const char* absent : {"top_p", "stop", "user", "parallel_tool_calls", "stream_options"})
    EXPECT_FALSE(body.contains(absent)) << absent;
  const json chosen = sent("cohere", R"({"model":"m","messages":[{"role":"user","content":"a"}],
    "tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],
    "tool_choice":{"type":"function","function":{"name":"g"}},
    "response_format":{"type":"json_schema","json_schema":{"name":"j","schema":{"type":"object"}}}})");
  EXPECT_EQ(chosen["tools"], json::parse(R"([{"type":"function","function":{"name":"g"}}])"));
  EXPECT_EQ(chosen["response_format"],
            json::parse(R"({"type":"json_object","json_schema":{"type":"object"}})"));
  const json was = test::load_fixture("cohere", "chat_tools")["request"]["body"];
  EXPECT_EQ(sent("cohere", was.dump())["tools"], was["tools"]);
}

std::string missing(const std::string& provider, const std::string& members) {
  const auto feature = adapter_of(provider).unsupported(
      request_of(R"({"model":"m","messages":[{"role":"user","content":"a"}])" + members + "}"));
  return feature ? feature->capability : "";
}

TEST(ProviderRequests, WhatAProviderCannotDoIsKnownBefore) {
  const std::string tools = R"(,"tools":[{"type":"function","function":{"name":"f"}}])";
  const std::string schema =
      R"(,"response_format":{"type":"json_schema","json_schema":{"name":"j","schema":{}}})";
  EXPECT_EQ(missing("perplexity", tools), "functions");
  EXPECT_EQ(missing("perplexity", R"(,"stop":"x")"), "stop");
  EXPECT_EQ(missing("perplexity", R"(,"response_format":{"type":"json_object"})"), "json_mode");
  EXPECT_EQ(missing("perplexity", schema), "");
  EXPECT_EQ(missing("anthropic", R"(,"response_format":{"type":"json_object"})"), "json_mode");
  EXPECT_EQ(missing("anthropic", R"(,"seed":1)"), "seed");
  EXPECT_EQ(missing("anthropic", R"(,"temperature":1.5)"), "temperature");
  EXPECT_EQ(missing("anthropic", R"(,"presence_penalty":0.5)"), "penalties");
  EXPECT_EQ(missing("anthropic", R"(,"presence_penalty":0,"logprobs":false)"), "");
  EXPECT_EQ(missing("anthropic", tools + schema), "");
  EXPECT_EQ(missing("groq", R"(,"n":2)"), "choices");
  EXPECT_EQ(missing("groq", R"(,"logit_bias":{"1":5})"), "logit_bias");
  EXPECT_EQ(missing("mistral", R"(,"logprobs":true)"), "logprobs");
  EXPECT_EQ(missing("gemini", R"(,"seed":4294967296)"), "seed");
  EXPECT_EQ(missing("cohere", R"(,"frequency_penalty":-1)"), "penalties");
  for (const char* provider : {"openai", "openrouter", "custom"})
    EXPECT_EQ(
        missing(provider, tools + schema + R"(,"n":2,"seed":-1,"logprobs":true,"stop":["a","b"])"),
        "");
}

TEST(ProviderRequests, GeminiTakesImagesOnlyWhole) {
  const auto with_image = [](const std::string& url) {
    return request_of(
        R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":")" +
        url + R"("}}]}]})");
  };
  EXPECT_EQ(adapter_of("gemini").unsupported(with_image("https://x/y.png"))->capability,
            "image_urls");
  EXPECT_FALSE(adapter_of("gemini").unsupported(with_image("data:image/png;base64,AAAA")));
  EXPECT_FALSE(adapter_of("anthropic").unsupported(with_image("https://x/y.png")));
  ChatRequest old = with_image("https://x/y.png");
  old.model = "claude-3-5-haiku";
  old.response_format = {{"type", "json_schema"}, {"json_schema", {{"schema", json::object()}}}};
  EXPECT_EQ(adapter_of("anthropic").unsupported(old)->capability, "json_schema");
}

} // namespace
} // namespace holdfast::provider
