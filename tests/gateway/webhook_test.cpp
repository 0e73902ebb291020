#include "gateway/webhook.hpp"

#include "tests/gateway/raw_server.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using test::RawConnection;
using test::RawServer;

const Delivery kDelivery{"run:step", "org", "run", "step", R"({"a": 1})"};

std::variant<std::string, DeliveryFailure> deliver_to(const std::string& url) {
  Transport transport;
  return deliver(transport, {url, "secret"}, kDelivery, 1700000000, {});
}

TEST(Webhook, SignsTimestampAndBody) {
  EXPECT_EQ(webhook_signature("secret", "1700000000", R"({"a":1})"),
            "v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
  EXPECT_NE(webhook_signature("secret", "1700000001", R"({"a":1})"),
            webhook_signature("secret", "1700000000", R"({"a":1})"));
}

TEST(Webhook, KeepsTheDocumentWhereThereIsNone) {
  EXPECT_EQ(std::get<std::string>(deliver_to("")), R"({"delivered":false,"document":{"a": 1}})");
}

TEST(Webhook, SendsTheDocumentInItsEnvelope) {
  std::string request;
  RawServer server([&](RawConnection& connection) {
    request = connection.read_request();
    connection.send("HTTP/1.1 204 No Content\r\n\r\n");
  });
  const auto result = deliver_to(server.url("/hook"));
  EXPECT_EQ(std::get<std::string>(result),
            R"({"delivered":true,"deliveryId":"run:step","status":204})");
  const std::string body =
      R"({"deliveryId":"run:step","organizationId":"org","runId":"run","step":"step",)"
      R"("document":{"a": 1}})";
  EXPECT_EQ(request.substr(request.find("\r\n\r\n") + 4), body);
  for (const std::string& header :
       {std::string("X-Holdfast-Delivery: run:step\r\n"),
        std::string("X-Holdfast-Timestamp: 1700000000\r\n"),
        "X-Holdfast-Signature: " + webhook_signature("secret", "1700000000", body) + "\r\n"})
    EXPECT_NE(request.find(header), std::string::npos) << header << request;
}

TEST(Webhook, TellsWhatMayPass) {
  const struct {
    const char* answer;
    const char* code;
    bool transient;
  } cases[] = {
      {"HTTP/1.1 503 Away\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n", "webhook_refused", true},
      {"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "webhook_refused", true},
      {"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "webhook_refused", false},
      {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
       "webhook_refused", false},
      {"", "webhook_unreachable", true},
  };
  for (const auto& each : cases) {
    RawServer server([&](RawConnection& connection) {
      connection.read_request();
      connection.send(each.answer);
    });
    const auto failure = std::get<DeliveryFailure>(deliver_to(server.url()));
    EXPECT_EQ(failure.code, each.code) << each.answer;
    EXPECT_EQ(failure.transient, each.transient) << each.answer;
    EXPECT_FALSE(failure.is_stopped);
    if (std::string(each.answer).find("Retry-After") != std::string::npos) {
      EXPECT_EQ(failure.retry_after_ms, 7000);
    }
  }
}

} // namespace
} // namespace holdfast::gateway
