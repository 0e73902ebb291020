#include "gateway/generate_format.hpp"

#include <gtest/gtest.h>

namespace holdfast::generate_format {
namespace {

using nlohmann::json;
using openai_format::RequestError;

ChatRequest accepted(const std::string& body) {
  auto parsed = parse_client_request(json::parse(body), {1000, 2000});
  if (auto* error = std::get_if<RequestError>(&parsed)) {
    ADD_FAILURE() << body << "\n" << error->param << ": " << error->message;
    return {};
  }
  return std::get<ChatRequest>(parsed);
}

RequestError refused(const std::string& body) {
  auto parsed = parse_client_request(json::parse(body), {1000, 2000});
  if (auto* error = std::get_if<RequestError>(&parsed)) return *error;
  ADD_FAILURE() << "accepted: " << body;
  return {};
}

// The request as OpenAI's own body would be read.
json as_openai(const ChatRequest& chat) {
  return openai_format::write_request(chat, openai_format::TokenLimitField::max_tokens);
}

TEST(GenerateRequest, APromptAloneGetsTheDefaults) {
  const ChatRequest chat = accepted(R"({"prompt":"Hi"})");
  EXPECT_EQ(as_openai(chat), json::parse(R"({"model":"","max_tokens":1000,"stream":false,
      "messages":[{"role":"user","content":"Hi"}]})"));
}

TEST(GenerateRequest, EveryMemberBecomesOpenAis) {
  const ChatRequest chat = accepted(R"({
      "systemPrompt":"Be brief.", "prompt":"And this?", "images":["https://a.example/b.png"],
      "messages":[{"role":"user","content":"The weather?"},
        {"role":"assistant","tool_calls":[{"id":"c1","type":"function",
          "function":{"name":"weather","arguments":"{\"place\":\"Rome\"}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"15 degrees"}],
      "tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}],
      "toolChoice":{"type":"function","function":{"name":"weather"}}, "parallelToolCalls":false,
      "responseFormat":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}},
      "stop":["END"], "seed":7, "temperature":0.5, "topP":0.9, "maxTokens":50})");
  EXPECT_EQ(as_openai(chat), json::parse(R"({
      "model":"", "stream":false, "max_tokens":50, "temperature":0.5, "top_p":0.9, "seed":7,
      "stop":["END"], "parallel_tool_calls":false,
      "messages":[{"role":"system","content":"Be brief."},
        {"role":"user","content":"The weather?"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
          "function":{"name":"weather","arguments":"{\"place\":\"Rome\"}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"15 degrees"},
        {"role":"user","content":[{"type":"text","text":"And this?"},
          {"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}],
      "tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}],
      "tool_choice":{"type":"function","function":{"name":"weather"}},
      "response_format":{"type":"json_schema",
        "json_schema":{"name":"s","schema":{"type":"object"}}}})"));
}

TEST(GenerateRequest, MessagesNeedNoPrompt) {
  const ChatRequest chat =
      accepted(R"({"systemPrompt":"","messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_EQ(chat.messages.size(), 1U);
  EXPECT_EQ(chat.messages[0].parts[0].text, "Hi");
}

TEST(GenerateRequest, WhatIsWrongIsNamedAsItIsCalledHere) {
  const auto param = [](const std::string& members) { return refused("{" + members + "}").param; };
  EXPECT_EQ(param(""), "prompt");
  EXPECT_EQ(param(R"("prompt":" ","messages":[{"role":"user","content":"a"}])"), "prompt");
  EXPECT_EQ(param(R"("messages":[])"), "messages");
  EXPECT_EQ(param(R"("messages":[{"role":"user","content":"a"}],"images":["https://a"])"),
            "images");
  const auto beside = [&](const std::string& member) { return param(R"("prompt":"a",)" + member); };
  EXPECT_EQ(beside(R"("messages":[{"role":"user"}])"), "messages[0].content");
  EXPECT_EQ(beside(R"("images":["ftp://a"])"), "images[0]");
  EXPECT_EQ(beside(R"("toolChoice":"auto")"), "toolChoice");
  EXPECT_EQ(beside(R"("tools":[{"type":"function","function":{"name":"a"}}],
      "toolChoice":{"type":"function","function":{"name":"b"}})"),
            "toolChoice.function.name");
  EXPECT_EQ(beside(R"("responseFormat":{"type":"json_schema"})"), "responseFormat.json_schema");
  EXPECT_EQ(beside(R"("parallelToolCalls":1)"), "parallelToolCalls");
  EXPECT_EQ(beside(R"("topP":2)"), "topP");
  EXPECT_EQ(beside(R"("stop":[""])"), "stop");
  EXPECT_EQ(beside(R"("seed":1.5)"), "seed");
  EXPECT_EQ(beside(R"("maxTokens":2001)"), "maxTokens");
}

Choice full_choice() {
  Choice choice;
  choice.content = "It is 15 degrees.";
  choice.reasoning = "I ask.";
  choice.tool_calls.push_back({"c1", "weather", "{}"});
  choice.citations.push_back({"https://a.example", "", "A", "", 0, 5});
  choice.citations.push_back({"", "doc", "B", "15 degrees", std::nullopt, std::nullopt});
  choice.finish_reason = "tool_calls";
  return choice;
}

json written(const Choice& choice) {
  gateway::ObjectText body;
  write_choice(choice, body);
  return json::parse(body.text());
}

TEST(GenerateAnswer, TellsAllThatTheModelSaid) {
  const json said = json::parse(R"({
      "content":"It is 15 degrees.", "reasoning":"I ask.",
      "toolCalls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{}"}}],
      "citations":[{"url":"https://a.example","title":"A","startIndex":0,"endIndex":5},
                   {"documentId":"doc","title":"B","text":"15 degrees"}],
      "finishReason":"tool_calls"})");
  EXPECT_EQ(written(full_choice()), said);
}

TEST(GenerateAnswer, ARefusalIsMarkedAndShown) {
  Choice choice;
  choice.refusal = "No.";
  EXPECT_EQ(written(choice),
            json::parse(R"({"content":"No.","refusal":"No.","finishReason":null})"));
  ChatDelta delta;
  delta.refusal = "No.";
  EXPECT_EQ(write_delta(delta), json::parse(R"({"content":"No.","refusal":"No."})"));
}

TEST(GenerateAnswer, PiecesOfAStreamSayWhatTheyBring) {
  ChatDelta delta;
  EXPECT_TRUE(write_delta(delta).is_null());
  delta.finish_reason = "stop";
  EXPECT_TRUE(write_delta(delta).is_null()) << "the end is told by the event done";
  delta.tool_calls.push_back({1, "", "", "{\"a\""});
  EXPECT_EQ(write_delta(delta), json::parse(R"({"toolCalls":[
      {"index":1,"function":{"arguments":"{\"a\""}}]})"));
  delta = {};
  delta.reasoning = "Hm";
  delta.citations.push_back({"https://a.example", "", "", "", std::nullopt, std::nullopt});
  EXPECT_EQ(write_delta(delta), json::parse(R"({"reasoning":"Hm",
      "citations":[{"url":"https://a.example","title":""}]})"));
}

TEST(GenerateAnswer, AStoredBodyIsOnePieceOfAStream) {
  json expected = written(full_choice());
  expected.erase("finishReason");
  expected["toolCalls"][0]["index"] = 0;
  EXPECT_EQ(delta_of_body(written(full_choice())), expected);
  EXPECT_TRUE(delta_of_body(written(Choice())).is_null());
}

TEST(GenerateAnswer, UsageHasItsParts) {
  Usage usage;
  usage.prompt_tokens = 10;
  usage.completion_tokens = 5;
  usage.cached_tokens = 4;
  usage.cache_write_tokens = 3;
  usage.reasoning_tokens = 2;
  const json counted = json::parse(R"({"promptTokens":10,"completionTokens":5,"totalTokens":15,
      "cachedTokens":4,"cacheWriteTokens":3,"reasoningTokens":2})");
  EXPECT_EQ(write_usage(usage), counted);
  usage.estimated = true;
  EXPECT_EQ(write_usage(usage).value("estimated", false), true);
}

} // namespace
} // namespace holdfast::generate_format
