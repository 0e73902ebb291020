#include "gateway/call.hpp"

#include "gateway/providers/sandbox.hpp"
#include "gateway/token_bound.hpp"
#include "tests/gateway/describe.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/gateway/raw_server.hpp"

#include <atomic>
#include <future>
#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using test::describe;
using test::RawConnection;
using test::RawServer;
using Lines = std::vector<std::string>;

constexpr const char* kKey = "key-0123456789";

TransportLimits patient() {
  return {5000, 20000, 20000, 20000, 16777216};
}

ChatRequest request_of(bool stream) {
  ChatRequest request = test::recorded_request("openai", "stream_basic");
  request.stream = stream;
  request.max_tokens = 50;
  return request;
}

ProviderConfig openai_at(const RawServer& server) {
  return {"openai", server.url("/v1/"), kKey};
}

std::string http(int status, const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Answers every request on every connection with the same bytes.
RawServer replying(const std::string& bytes) {
  return RawServer([bytes](RawConnection& connection) {
    connection.read_request();
    connection.send(bytes);
  });
}

Lines rest_of(ProviderCall& call) {
  Lines lines;
  while (const auto event = call.next())
    lines.push_back(describe(*event));
  return lines;
}

TEST(ProviderCallTest, AnswersFromTheProvider) {
  std::promise<std::string> sent;
  const std::string body = test::recorded_answer("openai", "chat_basic").body;
  RawServer server([&](RawConnection& connection) {
    sent.set_value(connection.read_request());
    connection.send(http(200, body));
  });
  Transport transport;
  const auto call = ProviderCall::start(transport, request_of(false), openai_at(server), patient());
  const auto answer = call->answer();
  ASSERT_TRUE(std::holds_alternative<ChatAnswer>(answer));
  EXPECT_EQ(describe(*std::get<ChatAnswer>(answer).usage),
            "usage 8+377 cached 0 written 0 reasoning 320");
  const std::string request = sent.get_future().get();
  EXPECT_EQ(request.find("POST /v1/chat/completions HTTP/1.1\r\n"), 0U) << request;
  EXPECT_NE(request.find("Authorization: Bearer key-0123456789\r\n"), std::string::npos);
  EXPECT_NE(request.find("\"max_tokens\":50"), std::string::npos);
}

TEST(ProviderCallTest, StreamsFromTheProvider) {
  const std::string body = test::recorded_answer("openai", "stream_basic").body;
  RawServer server = replying(http(200, body, "Content-Type: text/event-stream\r\n"));
  Transport transport;
  const auto call = ProviderCall::start(transport, request_of(true), openai_at(server), patient());
  ASSERT_FALSE(call->begin_stream().has_value());
  const Lines lines = rest_of(*call);
  ASSERT_EQ(lines.size(), 9U);
  EXPECT_EQ(lines[1], R"([0] content="\"This")");
  EXPECT_EQ(lines[7], "usage 12+5 cached 0 written 0 reasoning 0");
  EXPECT_EQ(lines[8], "done");
  EXPECT_FALSE(call->next().has_value());
}

TEST(ProviderCallTest, ARefusedStreamHasItsErrorAndNoEvents) {
  const std::string body = test::recorded_answer("openai", "error_429_rate_limit_tpm").body;
  RawServer server = replying(http(429, body, "Retry-After: 3\r\n"));
  Transport transport;
  const auto call = ProviderCall::start(transport, request_of(true), openai_at(server), patient());
  const auto error = call->begin_stream();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->error_class, ErrorClass::rate_limit);
  EXPECT_EQ(error->retry_after_ms, 3000);
  EXPECT_FALSE(error->maybe_charged);
  EXPECT_FALSE(call->next().has_value());
}

TEST(ProviderCallTest, ARefusalWhoseBodyBreaksOffIsStillARefusal) {
  for (const bool stream : {false, true}) {
    RawServer server = replying("HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\n{");
    Transport transport;
    const auto call =
        ProviderCall::start(transport, request_of(stream), openai_at(server), patient());
    const ProviderError error =
        stream ? call->begin_stream().value() : std::get<ProviderError>(call->answer());
    EXPECT_EQ(error.error_class, ErrorClass::overloaded);
    EXPECT_FALSE(error.maybe_charged);
  }
}

TEST(ProviderCallTest, TheConfiguredKeyIsCutOutOfErrors) {
  const std::string body =
      R"({"error":{"message":"bad key key-0123456789","code":"key-0123456789"}})";
  RawServer server = replying(http(401, body));
  Transport transport;
  const auto call = ProviderCall::start(transport, request_of(false), openai_at(server), patient());
  EXPECT_EQ(describe(std::get<ProviderError>(call->answer())),
            R"(error auth 401 code="[redacted]" message="bad key [redacted]")");
}

TEST(ProviderCallTest, AStreamThatBreaksOffEndsInAnErrorAfterWhatCame) {
  RawServer server = replying("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
                              "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
  Transport transport;
  const auto call = ProviderCall::start(transport, request_of(true), openai_at(server), patient());
  ASSERT_FALSE(call->begin_stream().has_value());
  EXPECT_EQ(describe(call->next().value()), R"([0] content="a")");
  const auto last = call->next();
  ASSERT_TRUE(last.has_value() && last->error.has_value());
  EXPECT_EQ(last->error->error_class, ErrorClass::network);
  EXPECT_TRUE(last->error->maybe_charged);
  EXPECT_FALSE(call->next().has_value());
}

TEST(ProviderCallTest, AStreamWithoutItsEndIsAnError) {
  RawServer server =
      replying(http(200, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"));
  Transport transport;
  const auto call = ProviderCall::start(transport, request_of(true), openai_at(server), patient());
  ASSERT_FALSE(call->begin_stream().has_value());
  EXPECT_EQ(rest_of(*call),
            (Lines{R"([0] content="a")",
                   R"(error server 200 code="invalid_answer" message="The provider ended the )"
                   R"(stream before it was complete." maybe_charged)"}));
}

TEST(ProviderCallTest, AClientThatLeavesEndsTheStreamAndClosesTheConnection) {
  std::promise<bool> closed;
  RawServer server([&](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\n\r\n"
                    "data: {\"choices\":[{\"delta\":{\"content\":\"abcde\"}}]}\n\n");
    closed.set_value(connection.wait_closed());
  });
  Transport transport;
  std::atomic<bool> gone{false};
  const ChatRequest request = request_of(true);
  auto call = ProviderCall::start(transport, request, openai_at(server), patient(),
                                  [&] { return gone.load(); });
  UsageCounter counter(request);
  ASSERT_FALSE(call->begin_stream().has_value());
  counter.add(call->next().value());
  gone = true;
  const auto last = call->next();
  ASSERT_TRUE(last.has_value() && last->error.has_value());
  counter.add(*last);
  EXPECT_EQ(last->error->error_class, ErrorClass::client_gone);
  EXPECT_FALSE(call->next().has_value());
  call.reset();
  EXPECT_TRUE(closed.get_future().get());
  // "user" and "Say this is a test" are 22 bytes, "abcde" 5.
  EXPECT_EQ(describe(counter.usage()), "usage 6+2 cached 0 written 0 reasoning 0 estimated");
}

TEST(ProviderCallTest, TheConnectionOfACompleteStreamIsKept) {
  std::atomic<int> connections{0};
  const std::string body = test::recorded_answer("openai", "stream_basic").body;
  RawServer server([&](RawConnection& connection) {
    ++connections;
    for (int i = 0; i < 3; ++i) {
      if (connection.read_request().empty()) return;
      connection.send(http(200, body));
    }
  });
  Transport transport;
  for (int i = 0; i < 3; ++i) {
    const auto call =
        ProviderCall::start(transport, request_of(true), openai_at(server), patient());
    ASSERT_FALSE(call->begin_stream().has_value());
    EXPECT_EQ(rest_of(*call).back(), "done");
  }
  EXPECT_EQ(connections, 1);
}

TEST(ProviderCallTest, TheSandboxAnswersAlike) {
  Transport transport;
  ChatRequest request = request_of(false);
  const auto call = ProviderCall::start(transport, request, {"sandbox", "", ""}, patient());
  const auto answer = std::get<ChatAnswer>(call->answer());
  EXPECT_GT(answer.created, 0);
  EXPECT_EQ(answer.usage->completion_tokens, 50);

  request.stream = true;
  const auto streamed = ProviderCall::start(transport, request, {"sandbox", "", ""}, patient());
  ASSERT_FALSE(streamed->begin_stream().has_value());
  EXPECT_EQ(rest_of(*streamed), describe(provider::sandbox::stream(request)));
}

TEST(ProviderCallTest, TheSandboxStopsWhenTheClientLeaves) {
  Transport transport;
  bool gone = false;
  const auto call = ProviderCall::start(transport, request_of(true), {"sandbox", "", ""}, patient(),
                                        [&] { return gone; });
  ASSERT_FALSE(call->begin_stream().has_value());
  EXPECT_EQ(describe(call->next().value()), R"([0] content="[sandbox]")");
  gone = true;
  const auto last = call->next();
  ASSERT_TRUE(last.has_value() && last->error.has_value());
  EXPECT_EQ(last->error->error_class, ErrorClass::client_gone);
  EXPECT_FALSE(call->next().has_value());
}

TEST(ProviderCallTest, AnUnknownProviderIsAMistakeOfTheCaller) {
  Transport transport;
  EXPECT_THROW(ProviderCall::start(transport, request_of(false), {"nobody", "", ""}, patient()),
               std::invalid_argument);
}

TEST(UsageCounterTest, TheProvidersLastCountWins) {
  const ChatRequest request = request_of(true);
  UsageCounter counter(request);
  StreamEvent event;
  event.deltas.emplace_back();
  event.deltas[0].content = "abcdefgh";
  event.usage = Usage{1, 2, 0, 0, 0, false, std::nullopt};
  counter.add(event);
  event.usage = Usage{3, 4, 1, 0, 2, false, std::nullopt};
  counter.add(event);
  counter.add(StreamEvent());
  EXPECT_EQ(describe(counter.usage()), "usage 3+4 cached 1 written 0 reasoning 2");
}

TEST(UsageCounterTest, ACountThatLagsBehindIsMadeUpFromWhatWasReceived) {
  const ChatRequest request = request_of(true);
  UsageCounter counter(request);
  StreamEvent begun;
  begun.usage = Usage{};
  begun.usage->prompt_tokens = 1042;
  begun.usage->cached_tokens = 1031;
  begun.usage->completion_tokens = 1;
  begun.usage->estimated = true;
  counter.add(begun);
  EXPECT_EQ(test::describe(counter.usage()),
            "usage 1042+1 cached 1031 written 0 reasoning 0 estimated");
  StreamEvent piece;
  piece.deltas.emplace_back();
  piece.deltas[0].content = "twelve bytes";
  counter.add(piece);
  EXPECT_EQ(test::describe(counter.usage()),
            "usage 1042+3 cached 1031 written 0 reasoning 0 estimated");
}

TEST(UsageCounterTest, CountsEveryKindOfTextAndNeverMoreThanTheBound) {
  const ChatRequest request = request_of(true);
  UsageCounter counter(request);
  StreamEvent event;
  event.deltas.emplace_back();
  event.deltas[0].content = "1";
  event.deltas[0].refusal = "22";
  event.deltas[0].reasoning = "333";
  event.deltas[0].tool_calls.push_back({0, "not counted", "4444", "55555"});
  counter.add(event);
  EXPECT_EQ(counter.usage().completion_tokens, 4);
  EXPECT_TRUE(counter.usage().estimated);
  event.deltas[0].content = std::string(10000, 'x');
  counter.add(event);
  EXPECT_EQ(counter.usage().completion_tokens, 50);
}

TEST(UsageCounterTest, CountsAnAnswerWithoutUsage) {
  const auto parsed = openai_format::parse_answer(nlohmann::json::parse(
      R"({"choices":[{"message":{"content":"12345678","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]})"));
  UsageCounter counter(request_of(false));
  counter.add(parsed.value());
  EXPECT_EQ(describe(counter.usage()), "usage 6+3 cached 0 written 0 reasoning 0 estimated");
}

} // namespace
} // namespace holdfast::gateway
