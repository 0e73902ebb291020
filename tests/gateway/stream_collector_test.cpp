#include "gateway/stream_collector.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

StreamEvent piece(int index, const std::string& content, const std::string& finish = "") {
  StreamEvent event;
  event.id = "id";
  event.model = "m";
  event.created = 5;
  ChatDelta delta;
  delta.index = index;
  delta.content = content;
  delta.finish_reason = finish;
  event.deltas.push_back(delta);
  return event;
}

StreamEvent tool_piece(int place, const std::string& id, const std::string& name,
                       const std::string& arguments) {
  StreamEvent event = piece(0, "");
  event.deltas[0].tool_calls.push_back({place, id, name, arguments});
  return event;
}

TEST(StreamCollectorTest, JoinsTextByChoice) {
  StreamCollector collector;
  collector.add(piece(1, "b"));
  collector.add(piece(0, "a"));
  collector.add(piece(1, "B", "length"));
  collector.add(piece(0, "A", "stop"));
  const ChatAnswer& answer = collector.answer();
  EXPECT_EQ(answer.id, "id");
  EXPECT_EQ(answer.created, 5);
  ASSERT_EQ(answer.choices.size(), 2U);
  EXPECT_EQ(answer.choices[0].index, 1);
  EXPECT_EQ(answer.choices[0].content, "bB");
  EXPECT_EQ(answer.choices[0].finish_reason, "length");
  EXPECT_EQ(answer.choices[1].content, "aA");
}

TEST(StreamCollectorTest, JoinsToolCallsByPlace) {
  StreamCollector collector;
  collector.add(tool_piece(0, "c0", "f", "{\"a\""));
  collector.add(tool_piece(1, "c1", "g", "{}"));
  collector.add(tool_piece(0, "", "", ":1}"));
  collector.add(tool_piece(2000000000, "x", "y", "z"));
  collector.add(tool_piece(-1, "x", "y", "z"));
  const auto& calls = collector.answer().choices[0].tool_calls;
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].id, "c0");
  EXPECT_EQ(calls[0].arguments, "{\"a\":1}");
  EXPECT_EQ(calls[1].name, "g");
}

TEST(StreamCollectorTest, JoinsLogprobs) {
  StreamCollector collector;
  for (const char* token : {"a", "b"}) {
    StreamEvent event = piece(0, token);
    event.deltas[0].logprobs = {{"content", {{{"token", token}}}}, {"refusal", nullptr}};
    collector.add(event);
  }
  EXPECT_EQ(collector.answer().choices[0].logprobs,
            nlohmann::json::parse(R"({"content":[{"token":"a"},{"token":"b"}],"refusal":null})"));
}

TEST(StreamCollectorTest, AnAnswerAsAnEventComesBackTheSame) {
  StreamCollector first;
  first.add(piece(0, "text", "stop"));
  first.add(tool_piece(0, "c0", "f", "{}"));
  StreamCollector second;
  second.add(as_event(first.answer()));
  const Choice& choice = second.answer().choices.at(0);
  EXPECT_EQ(second.answer().id, "id");
  EXPECT_EQ(choice.content, "text");
  EXPECT_EQ(choice.finish_reason, "stop");
  EXPECT_EQ(choice.tool_calls.at(0).name, "f");
}

} // namespace
} // namespace holdfast::gateway
