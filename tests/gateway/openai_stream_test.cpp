#include "gateway/providers/openai.hpp"
#include "tests/gateway/describe.hpp"
#include "tests/gateway/fixture.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

namespace holdfast::provider {
namespace {

using test::describe;
using Lines = std::vector<std::string>;

const OpenAi kOpenAi;

std::vector<StreamEvent> parse_in_pieces(std::string_view body, std::vector<std::size_t> splits) {
  const std::unique_ptr<StreamParser> parser = kOpenAi.stream_parser();
  std::vector<StreamEvent> events;
  splits.push_back(body.size());
  std::size_t begin = 0;
  for (const std::size_t end : splits) {
    for (StreamEvent& event : parser->feed(body.substr(begin, end - begin)))
      events.push_back(std::move(event));
    begin = end;
  }
  for (StreamEvent& event : parser->finish())
    events.push_back(std::move(event));
  return events;
}

std::string body_of(const std::string& name) {
  return test::recorded_answer("openai", name).body;
}

Lines replayed(const std::string& name) {
  return describe(parse_in_pieces(body_of(name), {}));
}

TEST(OpenAiStream, ReadsStreamBasic) {
  EXPECT_EQ(replayed("stream_basic"),
            (Lines{"[0]", R"([0] content="\"This")", R"([0] content=" is")", R"([0] content=" a")",
                   R"([0] content=" test")", R"([0] content=".\"")", R"([0] finish="stop")",
                   "usage 12+5 cached 0 written 0 reasoning 0", "done"}));
  for (const StreamEvent& event : parse_in_pieces(body_of("stream_basic"), {})) {
    if (event.done) continue;
    EXPECT_EQ(event.id, "chatcmpl-ASYMZ4oSykiIFK4lXLReDiKyAjsQl");
    EXPECT_EQ(event.model, "gpt-4-0613");
    EXPECT_EQ(event.created, 1731368639);
  }
}

TEST(OpenAiStream, ReadsStreamTools) {
  EXPECT_EQ(replayed("stream_tools"),
            (Lines{R"([0] call0 id="call_BPhRQvs8mbUXeHhEE6RAXTCW" name="calculate_square_tool")",
                   R"([0] call0 arguments="{\"")", R"([0] call0 arguments="x")",
                   R"([0] call0 arguments="\":")", R"([0] call0 arguments="2")",
                   R"([0] call0 arguments="}")", R"([0] finish="tool_calls")",
                   "usage 58+15 cached 0 written 0 reasoning 0", "done"}));
}

TEST(OpenAiStream, ReadsStreamUsageDetails) {
  EXPECT_EQ(replayed("stream_usage_details"),
            (Lines{"[0]", R"([0] finish="length")", "usage 12+100 cached 0 written 0 reasoning 100",
                   "done"}));
}

TEST(OpenAiStream, ReadsStreamNoUsage) {
  EXPECT_EQ(replayed("stream_no_usage"),
            (Lines{"[0]", R"([0] content="Hello")", R"([0] content="!")", R"([0] content=" How")",
                   R"([0] content=" can")", R"([0] content=" I")", R"([0] content=" assist")",
                   R"([0] content=" you")", R"([0] content=" today")", R"([0] content="?")",
                   R"([0] finish="stop")", "done"}));
}

TEST(OpenAiStream, ReadsStreamObfuscation) {
  const std::vector<StreamEvent> events = parse_in_pieces(body_of("stream_obfuscation"), {});
  std::string content;
  for (const StreamEvent& event : events)
    for (const ChatDelta& delta : event.deltas)
      content += delta.content;
  EXPECT_EQ(content,
            "Hi there! How can I help today? I can answer questions, explain concepts, help "
            "with writing or brainstorming, code, plan something, and more. Tell me what "
            "you\xE2\x80\x99"
            "d like to work on or a topic you\xE2\x80\x99re curious about.");
  ASSERT_EQ(events.size(), 51U);
  EXPECT_EQ(describe(events[0]), "[0]");
  EXPECT_EQ(describe(events[48]), R"([0] content=".")");
  EXPECT_EQ(describe(events[49]), R"([0] finish="stop")");
  EXPECT_EQ(describe(events[50]), "done");
}

class EveryRecordedStream : public testing::TestWithParam<const char*> {};

TEST_P(EveryRecordedStream, IsTheSameAtEverySplit) {
  const std::string body = body_of(GetParam());
  const Lines expected = replayed(GetParam());
  ASSERT_GE(expected.size(), 4U);
  for (std::size_t at = 0; at <= body.size(); ++at)
    ASSERT_EQ(describe(parse_in_pieces(body, {at})), expected) << "split at " << at;
}

TEST_P(EveryRecordedStream, IsTheSameInRandomPieces) {
  const std::string body = body_of(GetParam());
  const Lines expected = replayed(GetParam());
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> splits(1 + random() % 40);
    for (std::size_t& at : splits)
      at = random() % (body.size() + 1);
    std::sort(splits.begin(), splits.end());
    ASSERT_EQ(describe(parse_in_pieces(body, splits)), expected)
        << "seed " << seed << " round " << round;
  }
}

TEST_P(EveryRecordedStream, IsTheSameWithCrlf) {
  const Lines expected = replayed(GetParam());
  std::string body;
  for (const char c : body_of(GetParam()))
    body += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(describe(parse_in_pieces(body, {})), expected);
}

TEST_P(EveryRecordedStream, CutAnywhereEndsInExactlyOneError) {
  const std::string body = body_of(GetParam());
  const std::size_t done_at = body.find("data: [DONE]");
  for (std::size_t at = 0; at < done_at; at += 7) {
    const std::vector<StreamEvent> events = parse_in_pieces(body.substr(0, at), {});
    ASSERT_FALSE(events.empty());
    for (std::size_t i = 0; i + 1 < events.size(); ++i)
      ASSERT_FALSE(events[i].error || events[i].done) << "cut at " << at;
    ASSERT_TRUE(events.back().error.has_value()) << "cut at " << at;
    ASSERT_EQ(events.back().error->error_class, ErrorClass::server);
    ASSERT_TRUE(events.back().error->maybe_charged);
  }
}

INSTANTIATE_TEST_SUITE_P(OpenAi, EveryRecordedStream,
                         testing::Values("stream_basic", "stream_tools", "stream_usage_details",
                                         "stream_no_usage", "stream_obfuscation"),
                         [](const auto& test_case) { return std::string(test_case.param); });

constexpr const char* kChunk = R"(data: {"choices":[{"index":0,"delta":{"content":"a"}}]})"
                               "\n\n";

TEST(OpenAiStream, AnErrorInTheStreamIsTheLastEvent) {
  const std::string error =
      R"(data: {"error":{"message":"Slow down, sk-0123456789","type":"tokens","code":"rate_limit_exceeded"}})"
      "\n\n";
  EXPECT_EQ(describe(parse_in_pieces(error + kChunk + "data: [DONE]\n\n", {})),
            (Lines{"error rate_limit 200 code=\"rate_limit_exceeded\" message=\"Slow down, "
                   "[redacted]\""}));
  EXPECT_EQ(describe(parse_in_pieces(kChunk + error, {})),
            (Lines{R"([0] content="a")",
                   "error rate_limit 200 code=\"rate_limit_exceeded\" message=\"Slow down, "
                   "[redacted]\" maybe_charged"}));
}

TEST(OpenAiStream, NothingComesAfterDone) {
  EXPECT_EQ(describe(parse_in_pieces(
                std::string(kChunk) + "data: [DONE]\n\n" + kChunk + "data: x\n\n", {})),
            (Lines{R"([0] content="a")", "done"}));
}

TEST(OpenAiStream, DoneWithoutItsBlankLineIsDone) {
  EXPECT_EQ(describe(parse_in_pieces(std::string(kChunk) + "data: [DONE]", {})),
            (Lines{R"([0] content="a")", "done"}));
}

TEST(OpenAiStream, GarbageIsAnError) {
  const std::string incomplete =
      "error server 200 code=\"invalid_answer\" message=\"The provider ended the stream before it "
      "was complete.\" maybe_charged";
  const std::string not_json =
      "error server 200 code=\"invalid_answer\" message=\"The provider sent a stream event that is "
      "not JSON.\" maybe_charged";
  EXPECT_EQ(describe(parse_in_pieces("", {})), (Lines{incomplete}));
  EXPECT_EQ(describe(parse_in_pieces("<html>", {})), (Lines{incomplete}));
  EXPECT_EQ(describe(parse_in_pieces(R"({"choices":[]})", {})), (Lines{incomplete}));
  EXPECT_EQ(describe(parse_in_pieces("data: {\"choices\":\n\n", {})), (Lines{not_json}));
  EXPECT_EQ(describe(parse_in_pieces("data: \xFF\n\n", {})), (Lines{not_json}));
  EXPECT_EQ(describe(parse_in_pieces("data: " + std::string(1000000, '[') + "\n\n", {})),
            (Lines{not_json}));
}

TEST(OpenAiStream, EventsOfOtherKindsAreIgnored) {
  EXPECT_EQ(
      describe(parse_in_pieces("data: {\"type\":\"ping\"}\n\ndata: 7\n\ndata: {\"choices\":7}\n\n"
                               "data: {\"choices\":[7]}\n\ndata: [DONE]\n\n",
                               {})),
      (Lines{"[0]", "done"}));
}

TEST(OpenAiStream, ALineOfTenMegabytesIsRefusedOnce) {
  const std::unique_ptr<StreamParser> parser = kOpenAi.stream_parser();
  std::vector<StreamEvent> events;
  const std::string piece(65536, 'x');
  for (int i = 0; i < 160; ++i)
    for (StreamEvent& event : parser->feed(piece))
      events.push_back(std::move(event));
  for (StreamEvent& event : parser->finish())
    events.push_back(std::move(event));
  EXPECT_EQ(describe(events),
            (Lines{"error server 200 code=\"invalid_answer\" message=\"The provider sent a stream "
                   "event that is too large.\" maybe_charged"}));
}

} // namespace
} // namespace holdfast::provider
