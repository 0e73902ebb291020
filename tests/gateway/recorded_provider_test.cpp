// Every recorded answer of every provider against the expected result that lies beside it.
#include "gateway/providers/registry.hpp"
#include "tests/gateway/describe.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/gateway/stream_pieces.hpp"

#include <filesystem>
#include <gtest/gtest.h>
#include <iterator>
#include <random>

namespace holdfast::provider {
namespace {

using test::describe;
using test::parse_in_pieces;

// OpenAI's have their expected results in its own tests.
constexpr const char* kExpectedElsewhere = "openai";
constexpr std::size_t kMaxSplitBytes = 4096;

struct Case {
  std::string provider;
  std::string name;
};

void PrintTo(const Case& recorded, std::ostream* out) {
  *out << recorded.provider << "/" << recorded.name;
}

bool is_stream(const Case& recorded) {
  return recorded.name.rfind("stream", 0) == 0;
}

std::vector<Case> cases_of(bool streams) {
  std::vector<Case> cases;
  for (const auto& folder : std::filesystem::directory_iterator(HOLDFAST_FIXTURES)) {
    const std::string provider = folder.path().filename().string();
    if (provider == kExpectedElsewhere || find_provider(provider) == nullptr) continue;
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      Case recorded{provider, file.path().stem().string()};
      if (file.path().extension() == ".json" && is_stream(recorded) == streams)
        cases.push_back(std::move(recorded));
    }
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) {
    return std::tie(a.provider, a.name) < std::tie(b.provider, b.name);
  });
  return cases;
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.provider + "_" + info.param.name;
}

const Adapter& adapter_of(const Case& recorded) {
  const ProviderInfo* info = find_provider(recorded.provider);
  if (info == nullptr || info->adapter == nullptr)
    throw std::runtime_error("no provider " + recorded.provider);
  return *info->adapter;
}

std::string expected_of(const Case& recorded) {
  const std::string path = std::string(HOLDFAST_FIXTURES) + "/" + recorded.provider + "/" +
                           recorded.name + ".expected.txt";
  std::ifstream file(path);
  if (!file) throw std::runtime_error("no expected result " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string body_of(const Case& recorded) {
  return test::recorded_answer(recorded.provider, recorded.name).body;
}

std::string lines_of(const std::vector<StreamEvent>& events) {
  std::string text;
  for (const StreamEvent& event : events)
    text += describe(event) + "\n";
  return text;
}

class EveryRecordedAnswer : public testing::TestWithParam<Case> {};

TEST_P(EveryRecordedAnswer, IsReadAsExpected) {
  const auto parsed = adapter_of(GetParam())
                          .parse_chat(test::recorded_answer(GetParam().provider, GetParam().name));
  const auto* error = std::get_if<ProviderError>(&parsed);
  EXPECT_EQ((error ? describe(*error) : describe(std::get<ChatAnswer>(parsed))) + "\n",
            expected_of(GetParam()));
}

// Every single byte that is missing must give an answer or an error, never a crash.
TEST_P(EveryRecordedAnswer, MayBreakOffAnywhere) {
  HttpAnswer answer = test::recorded_answer(GetParam().provider, GetParam().name);
  const std::string body = answer.body;
  for (std::size_t size = 0; size < std::min<std::size_t>(body.size(), 2000); ++size) {
    answer.body = body.substr(0, size);
    const auto parsed = adapter_of(GetParam()).parse_chat(answer);
    ASSERT_TRUE(std::holds_alternative<ProviderError>(parsed)) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Providers, EveryRecordedAnswer, testing::ValuesIn(cases_of(false)),
                         name_of);

class EveryProvidersStream : public testing::TestWithParam<Case> {};

TEST_P(EveryProvidersStream, IsReadAsExpected) {
  EXPECT_EQ(lines_of(parse_in_pieces(adapter_of(GetParam()), body_of(GetParam()), {})),
            expected_of(GetParam()));
}

TEST_P(EveryProvidersStream, NamesItselfInEveryEvent) {
  const auto events = parse_in_pieces(adapter_of(GetParam()), body_of(GetParam()), {});
  const std::string id = events.front().id;
  EXPECT_FALSE(id.empty());
  for (const StreamEvent& event : events)
    if (!event.done && !event.error) {
      EXPECT_EQ(event.id, id);
      EXPECT_EQ(event.model, events.front().model);
    }
}

// Of long streams the middle is left out here: the next test has it.
TEST_P(EveryProvidersStream, IsTheSameAtEverySplit) {
  const Adapter& adapter = adapter_of(GetParam());
  const std::string body = test::without_middle(body_of(GetParam()), kMaxSplitBytes);
  const std::string expected = lines_of(parse_in_pieces(adapter, body, {}));
  for (std::size_t at = 0; at <= body.size(); ++at)
    ASSERT_EQ(lines_of(parse_in_pieces(adapter, body, {at})), expected) << "split at " << at;
}

// Of the whole stream: in each turn every event is cut at the next byte.
TEST_P(EveryProvidersStream, IsTheSameAtEveryByteOfEveryEvent) {
  const Adapter& adapter = adapter_of(GetParam());
  const std::string body = body_of(GetParam());
  const std::string expected = expected_of(GetParam());
  const std::vector<std::size_t> begins = test::event_begins(body);
  bool any = true;
  for (std::size_t offset = 0; any; ++offset) {
    std::vector<std::size_t> splits;
    for (std::size_t i = 0; i < begins.size(); ++i) {
      const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : body.size();
      if (begins[i] + offset < end) splits.push_back(begins[i] + offset);
    }
    any = !splits.empty();
    ASSERT_EQ(lines_of(parse_in_pieces(adapter, body, splits)), expected) << "byte " << offset;
  }
}

TEST_P(EveryProvidersStream, IsTheSameInRandomPiecesAndInBytes) {
  const Adapter& adapter = adapter_of(GetParam());
  const std::string body = body_of(GetParam());
  const std::string expected = expected_of(GetParam());
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 40; ++round)
    ASSERT_EQ(lines_of(parse_in_pieces(adapter, body, test::random_splits(random, body.size()))),
              expected)
        << "seed " << seed << ", round " << round;
  std::vector<std::size_t> every_byte(body.size());
  for (std::size_t i = 0; i < every_byte.size(); ++i)
    every_byte[i] = i;
  EXPECT_EQ(lines_of(parse_in_pieces(adapter, body, every_byte)), expected);
}

// The same stream with CRLF for LF, comments between all lines, and a byte-order mark.
TEST_P(EveryProvidersStream, IsTheSameWithOtherLineEnds) {
  std::string dressed = "\xEF\xBB\xBF";
  for (const char c : body_of(GetParam())) {
    if (c == '\r') continue;
    dressed += c == '\n' ? std::string("\r\n: keep-alive\r\n") : std::string(1, c);
  }
  EXPECT_EQ(lines_of(parse_in_pieces(adapter_of(GetParam()), dressed, {})),
            expected_of(GetParam()));
}

// Cut short after any event, a stream ends with an error or, when all was said, as it should.
TEST_P(EveryProvidersStream, CutShortEndsOnce) {
  const Adapter& adapter = adapter_of(GetParam());
  const std::string body = body_of(GetParam());
  for (std::size_t at = 0; at < body.size(); at += 1 + body.size() / 300) {
    const auto events = parse_in_pieces(adapter, std::string_view(body).substr(0, at), {});
    ASSERT_FALSE(events.empty());
    for (std::size_t i = 0; i < events.size(); ++i)
      ASSERT_EQ(events[i].done || events[i].error.has_value(), i + 1 == events.size());
    ASSERT_TRUE(!events.back().error || events.back().error->maybe_charged);
  }
}

INSTANTIATE_TEST_SUITE_P(Providers, EveryProvidersStream, testing::ValuesIn(cases_of(true)),
                         name_of);

class EveryProvider : public testing::TestWithParam<std::string> {};

// Bodies that no provider should send, in whole answers and in streams.
TEST_P(EveryProvider, TakesAnyBody) {
  const Adapter& adapter = *find_provider(GetParam())->adapter;
  const std::string deep(200000, '[');
  const std::vector<std::string> bodies = {
      "",
      "{",
      "null",
      "7",
      "[]",
      "{}",
      "\xFF",
      deep,
      "{\"choices\":" + deep,
      "[{}]",
      "\"x\"",
      R"({"choices":[]})",
      R"({"choices":[7]})",
      R"({"choices":{"a":1}})",
      R"({"error":[]})",
      R"({"error":{"message":{},"code":[],"details":7}})",
      R"({"message":7,"detail":[[]]})",
      R"({"candidates":7,"usageMetadata":[]})",
      R"({"candidates":[7,{"content":7}]})",
      R"({"content":7})",
      R"({"content":[7,{"type":7},{"type":"tool_use","input":7}]})",
      R"({"message":{"content":7,"tool_calls":7,"citations":[7]},"finish_reason":7})",
      R"({"type":"message_start","message":7})",
      R"({"type":"content_block_start","index":-1})",
      R"({"type":"content_block_delta","index":99999999999,"delta":7})",
      R"({"type":"message_delta","delta":[],"usage":{"output_tokens":-1}})",
      R"({"type":"tool-call-delta","delta":{"message":{"tool_calls":[]}}})",
      R"({"type":"message-end","delta":{"usage":{"tokens":{"input_tokens":1e99}}}})"};
  for (const std::string& body : bodies) {
    SCOPED_TRACE(body.substr(0, 60));
    for (const int status : {200, 400, 429, 500, 302})
      adapter.parse_chat({status, {}, body});
    EXPECT_FALSE(adapter.parse_error({500, {}, body}).message.empty());
    EXPECT_EQ(adapter.parse_error({500, {}, body}).error_class, ErrorClass::server);
    const auto events =
        parse_in_pieces(adapter, "data: " + body + "\n\ndata: " + body + "\n\n", {3, 9});
    ASSERT_FALSE(events.empty());
    // Only what marks an end in a provider's own words ends well.
    EXPECT_TRUE(events.back().error.has_value() ||
                (events.back().done && body.find("message-end") != std::string::npos));
  }
}

TEST_P(EveryProvider, AnOkThatIsNoAnswerMayHaveBeenCharged) {
  const Adapter& adapter = *find_provider(GetParam())->adapter;
  for (const char* body : {"", "{", "null", "[]", "{}", "<html>"}) {
    const auto parsed = adapter.parse_chat({200, {}, body});
    const auto* error = std::get_if<ProviderError>(&parsed);
    ASSERT_NE(error, nullptr) << body;
    EXPECT_EQ(error->error_class, ErrorClass::server);
    EXPECT_EQ(error->code, "invalid_answer");
    EXPECT_TRUE(error->maybe_charged);
  }
}

TEST_P(EveryProvider, AStreamThatSaidNothingIsNoAnswer) {
  const Adapter& adapter = *find_provider(GetParam())->adapter;
  for (const char* body :
       {": hello\n\ndata: [DONE]\n\n", "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
        "data: {\"type\":\"message_stop\"}\n\n", ""}) {
    const auto events = parse_in_pieces(adapter, body, {});
    ASSERT_EQ(events.size() - 1, events.front().error ? 0U : 1U) << body;
    ASSERT_TRUE(events.back().error) << body;
    EXPECT_EQ(events.back().error->code, "invalid_answer");
    EXPECT_TRUE(events.back().error->maybe_charged);
  }
}

TEST_P(EveryProvider, AnErrorWithoutAMessageSaysSo) {
  const Adapter& adapter = *find_provider(GetParam())->adapter;
  const auto parsed = adapter.parse_chat({200, {}, R"({"error":{"code":"odd"}})"});
  ASSERT_TRUE(std::holds_alternative<ProviderError>(parsed));
  EXPECT_FALSE(std::get<ProviderError>(parsed).message.empty());
}

TEST_P(EveryProvider, ALineWithoutEndIsRefusedOnce) {
  const auto parser = find_provider(GetParam())->adapter->stream_parser();
  std::vector<StreamEvent> events;
  const std::string piece(65536, 'x');
  for (int i = 0; i < 160; ++i)
    for (StreamEvent& event : parser->feed(piece))
      events.push_back(std::move(event));
  for (StreamEvent& event : parser->finish())
    events.push_back(std::move(event));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(describe(events[0]),
            "error server 200 code=\"invalid_answer\" message=\"The provider sent a stream event "
            "that is too large.\" maybe_charged");
}

TEST_P(EveryProvider, ReadsRetryAfterOfARefusal) {
  const Adapter& adapter = *find_provider(GetParam())->adapter;
  EXPECT_EQ(adapter.parse_error({429, {{"retry-after", "2"}}, "{}"}).retry_after_ms, 2000);
  EXPECT_EQ(adapter
                .parse_error({503,
                              {{"date", "Sun, 06 Nov 1994 08:49:37 GMT"},
                               {"retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"}},
                              ""})
                .retry_after_ms,
            3000);
  EXPECT_EQ(adapter.parse_error({402, {{"retry-after", "2"}}, "{}"}).retry_after_ms, std::nullopt);
}

std::vector<std::string> providers_with_http() {
  std::vector<std::string> names;
  for (const ProviderInfo& info : all_providers())
    if (info.adapter != nullptr) names.push_back(info.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Providers, EveryProvider, testing::ValuesIn(providers_with_http()),
                         [](const auto& test_case) { return test_case.param; });

} // namespace
} // namespace holdfast::provider
