#include "gateway/openai_format.hpp"

#include <gtest/gtest.h>

namespace holdfast::openai_format {
namespace {

using nlohmann::json;

// The JSON of one SSE event as a client would read it.
json event_json(const std::string& sse) {
  EXPECT_EQ(sse.substr(0, 6), "data: ");
  EXPECT_EQ(sse.substr(sse.size() - 2), "\n\n");
  return json::parse(sse.substr(6));
}

StreamEvent event_with(ChatDelta delta) {
  StreamEvent event;
  event.deltas.push_back(std::move(delta));
  return event;
}

ChatDelta content(const std::string& text) {
  ChatDelta delta;
  delta.content = text;
  return delta;
}

TEST(OpenAiAnswer, WritesAWholeAnswer) {
  ChatAnswer answer;
  answer.id = "chatcmpl-1";
  answer.model = "gpt-4o-mini";
  answer.created = 1700000000;
  Choice spoken;
  spoken.content = "Hi";
  spoken.finish_reason = "stop";
  Choice called;
  called.index = 1;
  called.tool_calls.push_back({"call_1", "look", "{\"x\":1}"});
  called.finish_reason = "tool_calls";
  answer.choices = {spoken, called};
  answer.usage = Usage{8, 377, 2, 0, 320, false, std::nullopt};
  EXPECT_EQ(write_answer(answer), json::parse(R"({
    "id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini",
    "choices":[
      {"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"stop"},
      {"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"x\":1}"}}]},
        "logprobs":null,"finish_reason":"tool_calls"}],
    "usage":{"prompt_tokens":8,"completion_tokens":377,"total_tokens":385,
      "prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":320}}})"));
}

TEST(OpenAiAnswer, WritesRefusalReasoningAndLogprobs) {
  ChatAnswer answer;
  Choice choice;
  choice.refusal = "No.";
  choice.reasoning = "Hm";
  choice.logprobs = {{"content", json::array()}};
  answer.choices = {choice};
  const json body = write_answer(answer);
  EXPECT_EQ(body["choices"][0]["message"],
            json::parse(R"({"role":"assistant","content":null,"refusal":"No.","reasoning":"Hm"})"));
  EXPECT_EQ(body["choices"][0]["logprobs"], json::parse(R"({"content":[]})"));
  EXPECT_EQ(body["choices"][0]["finish_reason"], nullptr);
  EXPECT_FALSE(body.contains("usage"));
}

TEST(OpenAiAnswer, AnEmptyAnswerHasEmptyContent) {
  ChatAnswer answer;
  answer.choices.emplace_back();
  EXPECT_EQ(write_answer(answer)["choices"][0]["message"]["content"], "");
}

TEST(OpenAiChunks, TheFirstChunkOfEachChoiceCarriesTheRole) {
  ChunkWriter writer("id1", "m", 5, false);
  EXPECT_EQ(event_json(writer.deltas(event_with({}))), json::parse(R"({"id":"id1",
    "object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,
    "delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})"));
  EXPECT_EQ(event_json(writer.deltas(event_with(content("Hi"))))["choices"][0]["delta"],
            json::parse(R"({"content":"Hi"})"));
  ChatDelta second = content("Yo");
  second.index = 1;
  EXPECT_EQ(event_json(writer.deltas(event_with(second)))["choices"],
            json::parse(R"([{"index":1,"delta":{"role":"assistant","content":"Yo"},
              "logprobs":null,"finish_reason":null}])"));
  ChatDelta finish;
  finish.finish_reason = "stop";
  EXPECT_EQ(event_json(writer.deltas(event_with(finish)))["choices"],
            json::parse(R"([{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}])"));
}

TEST(OpenAiChunks, WritesToolCallPieces) {
  ChunkWriter writer("id1", "m", 5, false);
  ChatDelta first;
  first.tool_calls.push_back({0, "call_1", "look", ""});
  EXPECT_EQ(
      event_json(writer.deltas(event_with(first)))["choices"][0]["delta"],
      json::parse(R"({"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1",
              "type":"function","function":{"name":"look","arguments":""}}]})"));
  ChatDelta second;
  second.tool_calls.push_back({0, "", "", "{\""});
  EXPECT_EQ(event_json(writer.deltas(event_with(second)))["choices"][0]["delta"],
            json::parse(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]})"));
}

TEST(OpenAiChunks, WhatSaysNothingIsNotWritten) {
  ChunkWriter writer("id1", "m", 5, false);
  EXPECT_NE(writer.deltas(event_with({})), "");
  EXPECT_EQ(writer.deltas(event_with({})), "");
  EXPECT_EQ(writer.deltas(StreamEvent()), "");
  StreamEvent done;
  done.done = true;
  EXPECT_EQ(writer.deltas(done), "");
}

TEST(OpenAiChunks, UsageIsNullUntilItsOwnChunkWhenAskedFor) {
  ChunkWriter asked("id1", "m", 5, true);
  const json chunk = event_json(asked.deltas(event_with(content("Hi"))));
  ASSERT_TRUE(chunk.contains("usage"));
  EXPECT_TRUE(chunk["usage"].is_null());
  const json last = event_json(asked.usage(Usage{12, 5, 0, 0, 0, false, std::nullopt}));
  EXPECT_EQ(last["choices"], json::array());
  EXPECT_EQ(last["usage"]["total_tokens"], 17);
  EXPECT_EQ(last["id"], "id1");

  ChunkWriter not_asked("id1", "m", 5, false);
  EXPECT_FALSE(event_json(not_asked.deltas(event_with(content("Hi")))).contains("usage"));
}

TEST(OpenAiChunks, EndAndError) {
  EXPECT_EQ(ChunkWriter::done(), "data: [DONE]\n\n");
  EXPECT_EQ(ChunkWriter::error({{"error", {{"message", "a\nb"}}}}),
            "data: {\"error\":{\"message\":\"a\\nb\"}}\n\n");
}

TEST(OpenAiChunks, BrokenUtf8DoesNotThrow) {
  ChunkWriter writer("id1", "m", 5, false);
  EXPECT_EQ(
      event_json(writer.deltas(event_with(content("\xC3"))))["choices"][0]["delta"]["content"],
      "\xEF\xBF\xBD");
}

} // namespace
} // namespace holdfast::openai_format
