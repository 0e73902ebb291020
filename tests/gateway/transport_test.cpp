#include "gateway/transport.hpp"

#include "gateway/http_library.hpp"
#include "tests/gateway/raw_server.hpp"

#include <atomic>
#include <cstdlib>
#include <future>
#include <gtest/gtest.h>
#include <limits>
#include <mutex>

namespace holdfast::gateway {
namespace {

using test::RawConnection;
using test::RawServer;

// A well-behaved server that remembers from which port each request came.
class LoopbackServer {
public:
  LoopbackServer() {
    const auto answer = [this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard<std::mutex> lock(mutex_);
      ports_.push_back(request.remote_port);
      bodies_.push_back(request.body);
      response.set_header("X-Echo", request.get_header_value("X-Sent"));
      response.set_content("hello", "text/plain");
    };
    server_.Post("/hello", answer);
    server_.Get("/hello", answer);
    server_.Get("/moved", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/hello");
    });
    server_.Get("/large", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(1000000, 'x'), "text/plain");
    });
    server_.set_tcp_nodelay(true);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running())
      std::this_thread::yield();
  }
  ~LoopbackServer() {
    server_.stop();
    thread_.join();
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::vector<int> ports() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ports_;
  }
  std::vector<std::string> bodies() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bodies_;
  }

private:
  httplib::Server server_;
  std::mutex mutex_;
  std::vector<int> ports_;
  std::vector<std::string> bodies_;
  int port_ = 0;
  std::thread thread_;
};

// Long enough that only the limit under test is ever reached.
TransportLimits patient() {
  return {5000, 20000, 20000, 20000, 16777216};
}

TransportRequest get(const std::string& url) {
  return {"GET", url, {}, ""};
}

struct Outcome {
  int status = 0;
  std::string body;
  std::optional<ProviderError> error;
};

Outcome run(Exchange exchange) {
  Outcome outcome;
  outcome.error = exchange.wait_headers();
  if (outcome.error) return outcome;
  outcome.status = exchange.status();
  while (true) {
    auto part = exchange.read();
    if (std::holds_alternative<BodyEnd>(part)) return outcome;
    if (auto* error = std::get_if<ProviderError>(&part)) {
      outcome.error = *error;
      return outcome;
    }
    outcome.body += std::get<std::string>(part);
  }
}

std::string header_of(const Exchange& exchange, const char* name) {
  const auto found = exchange.headers().find(name);
  return found == exchange.headers().end() ? "" : found->second;
}

void expect_error(const Outcome& outcome, ErrorClass expected, const std::string& words,
                  bool maybe_charged) {
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(error_class_name(outcome.error->error_class), error_class_name(expected));
  EXPECT_NE(outcome.error->message.find(words), std::string::npos) << outcome.error->message;
  EXPECT_EQ(outcome.error->maybe_charged, maybe_charged);
}

TEST(Transport, SendsARequestAndReadsItsAnswer) {
  LoopbackServer server;
  Transport transport;
  const std::string body(300000, 'b');
  Exchange exchange = transport.start(
      {"POST", server.url("/hello"), {{"X-Sent", "a b"}, {"Content-Type", "text/plain"}}, body},
      patient(), {});
  ASSERT_FALSE(exchange.wait_headers().has_value());
  ASSERT_EQ(exchange.status(), 200);
  EXPECT_EQ(header_of(exchange, "x-echo"), "a b");
  EXPECT_EQ(run(std::move(exchange)).body, "hello");
  EXPECT_EQ(server.bodies(), std::vector<std::string>{body});
}

TEST(Transport, TheEndStaysTheEnd) {
  LoopbackServer server;
  Transport transport;
  Exchange exchange = transport.start(get(server.url("/hello")), patient(), {});
  ASSERT_FALSE(exchange.wait_headers().has_value());
  EXPECT_EQ(std::get<std::string>(exchange.read()), "hello");
  EXPECT_TRUE(std::holds_alternative<BodyEnd>(exchange.read()));
  EXPECT_TRUE(std::holds_alternative<BodyEnd>(exchange.read()));
}

TEST(Transport, AConnectionIsKeptAfterACompleteAnswer) {
  LoopbackServer server;
  Transport transport;
  EXPECT_EQ(run(transport.start(get(server.url("/hello")), patient(), {})).body, "hello");
  EXPECT_EQ(run(transport.start(get(server.url("/hello")), patient(), {})).body, "hello");
  const std::vector<int> ports = server.ports();
  ASSERT_EQ(ports.size(), 2U);
  EXPECT_EQ(ports[0], ports[1]);
}

// A server may take a request and close the connection that it had kept, without a word.
void expect_sent_once(const std::string& body) {
  std::atomic<int> requests{0};
  RawServer server([&](RawConnection& connection) {
    if (!connection.read_request().empty()) ++requests;
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (!connection.read_request().empty()) ++requests;
  });
  Transport transport;
  const TransportRequest post{"POST", server.url(), {}, body};
  EXPECT_EQ(run(transport.start(post, patient(), {})).body, "ok");
  const Outcome second = run(transport.start(post, patient(), {}));
  expect_error(second, ErrorClass::network, "closed the connection before it answered", true);
  EXPECT_EQ(requests, 2);
}

TEST(Transport, ARequestThatAKeptConnectionTookIsNotSentAgain) {
  expect_sent_once("{}");
  expect_sent_once(std::string(100000, 'x'));
}

TEST(Transport, AnAbandonedAnswerClosesItsConnection) {
  std::promise<bool> closed;
  RawServer server([&](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
    closed.set_value(connection.wait_closed());
  });
  Transport transport;
  {
    Exchange abandoned = transport.start(get(server.url()), patient(), {});
    ASSERT_FALSE(abandoned.wait_headers().has_value());
  }
  EXPECT_TRUE(closed.get_future().get());
}

TEST(Transport, KeepsNoMoreConnectionsThanAllowed) {
  LoopbackServer server;
  Transport transport(0);
  run(transport.start(get(server.url("/hello")), patient(), {}));
  run(transport.start(get(server.url("/hello")), patient(), {}));
  const std::vector<int> ports = server.ports();
  ASSERT_EQ(ports.size(), 2U);
  EXPECT_NE(ports[0], ports[1]);
}

TEST(Transport, ConcurrentExchangesDoNotMix) {
  LoopbackServer server;
  Transport transport(4);
  std::vector<std::future<int>> threads;
  for (int i = 0; i < 8; ++i)
    threads.push_back(std::async(std::launch::async, [&, i] {
      int matching = 0;
      for (int round = 0; round < 20; ++round) {
        const std::string mark = std::to_string(i) + "-" + std::to_string(round);
        Exchange exchange =
            transport.start({"GET", server.url("/hello"), {{"X-Sent", mark}}, ""}, patient(), {});
        if (exchange.wait_headers()) continue;
        if (header_of(exchange, "x-echo") == mark) ++matching;
        run(std::move(exchange));
      }
      return matching;
    }));
  for (auto& thread : threads)
    EXPECT_EQ(thread.get(), 20);
}

TEST(Transport, ExchangesMayOutliveTheTransport) {
  LoopbackServer server;
  auto transport = std::make_unique<Transport>();
  Exchange exchange = transport->start(get(server.url("/hello")), patient(), {});
  transport.reset();
  EXPECT_EQ(run(std::move(exchange)).body, "hello");
}

TEST(Transport, FollowsNoRedirect) {
  LoopbackServer server;
  Transport transport;
  EXPECT_EQ(run(transport.start(get(server.url("/moved")), patient(), {})).status, 302);
  EXPECT_TRUE(server.ports().empty());
}

TEST(Transport, AnAnswerLargerThanAllowedIsAnError) {
  LoopbackServer server;
  Transport transport;
  TransportLimits limits = patient();
  limits.max_answer_bytes = 1000000;
  EXPECT_EQ(run(transport.start(get(server.url("/large")), limits, {})).body.size(), 1000000U);
  limits.max_answer_bytes = 999999;
  const Outcome outcome = run(transport.start(get(server.url("/large")), limits, {}));
  expect_error(outcome, ErrorClass::server, "more than the 999999 bytes allowed", true);
  EXPECT_LE(outcome.body.size(), 999999U);
}

TEST(Transport, ASlowFirstByteIsATimeout) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.wait_closed();
  });
  Transport transport;
  TransportLimits limits = patient();
  limits.first_byte_timeout_ms = 50;
  expect_error(run(transport.start(get(server.url()), limits, {})), ErrorClass::timeout,
               "did not begin to answer within 50 ms", true);
}

TEST(Transport, HeadersThatNeverEndAreATimeout) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\nX-A: b\r\n");
    connection.wait_closed();
  });
  Transport transport;
  TransportLimits limits = patient();
  limits.first_byte_timeout_ms = 50;
  expect_error(run(transport.start(get(server.url()), limits, {})), ErrorClass::timeout,
               "did not begin to answer", true);
}

TEST(Transport, AStallIsATimeoutAfterWhatHasCome) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
    connection.wait_closed();
  });
  Transport transport;
  TransportLimits limits = patient();
  limits.idle_timeout_ms = 50;
  const Outcome outcome = run(transport.start(get(server.url()), limits, {}));
  expect_error(outcome, ErrorClass::timeout, "sent nothing more within 50 ms", true);
  EXPECT_EQ(outcome.body, "begun");
}

TEST(Transport, TheTotalTimeIsLimitedHoweverBusyTheProviderIs) {
  RawServer server([&](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\n\r\n");
    const std::string piece(1000, '.');
    while (connection.send(piece)) {
    }
  });
  Transport transport;
  TransportLimits limits = patient();
  limits.max_answer_bytes = std::numeric_limits<std::size_t>::max();
  limits.total_timeout_ms = 100;
  Exchange exchange = transport.start(get(server.url()), limits, {});
  ASSERT_FALSE(exchange.wait_headers().has_value());
  auto part = exchange.read();
  while (std::holds_alternative<std::string>(part))
    part = exchange.read();
  ASSERT_TRUE(std::holds_alternative<ProviderError>(part));
  EXPECT_EQ(std::get<ProviderError>(part).error_class, ErrorClass::timeout);
  EXPECT_NE(std::get<ProviderError>(part).message.find("within 100 ms"), std::string::npos);
}

TEST(Transport, AResetIsANetworkError) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.reset_on_close();
  });
  Transport transport;
  expect_error(run(transport.start(get(server.url()), patient(), {})), ErrorClass::network,
               "broke off", true);
}

TEST(Transport, AResetInTheBodyKeepsWhatHasCome) {
  std::promise<void> received;
  RawServer server([&](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n");
    received.get_future().wait_for(std::chrono::seconds(10));
    connection.reset_on_close();
  });
  Transport transport;
  Exchange exchange = transport.start(get(server.url()), patient(), {});
  ASSERT_FALSE(exchange.wait_headers().has_value());
  EXPECT_EQ(std::get<std::string>(exchange.read()), "begun");
  received.set_value();
  expect_error(run(std::move(exchange)), ErrorClass::network, "broke off", true);
}

TEST(Transport, ABodyShorterThanItsContentLengthIsANetworkError) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
  });
  Transport transport;
  const Outcome outcome = run(transport.start(get(server.url()), patient(), {}));
  expect_error(outcome, ErrorClass::network, "broke off", true);
  EXPECT_EQ(outcome.body, "short");
}

TEST(Transport, AnUnfinishedChunkedBodyIsANetworkError) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n");
  });
  Transport transport;
  expect_error(run(transport.start(get(server.url()), patient(), {})), ErrorClass::network,
               "broke off", true);
}

TEST(Transport, WhatIsNoHttpIsANetworkError) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("SSH-2.0-OpenSSH\r\n");
  });
  Transport transport;
  expect_error(run(transport.start(get(server.url()), patient(), {})), ErrorClass::network,
               "broke off", true);
}

TEST(Transport, TooManyHeadersAreAnError) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100; ++i)
      connection.send("X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n");
    connection.send("\r\n");
  });
  Transport transport;
  expect_error(run(transport.start(get(server.url()), patient(), {})), ErrorClass::server,
               "more than 65536 bytes of headers", true);
}

TEST(Transport, AnInterimAnswerIsNotTheAnswer) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                    "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
  });
  Transport transport;
  Exchange exchange = transport.start(get(server.url()), patient(), {});
  ASSERT_FALSE(exchange.wait_headers().has_value());
  EXPECT_EQ(exchange.status(), 201);
  EXPECT_EQ(exchange.headers().count("link"), 0U);
  EXPECT_EQ(run(std::move(exchange)).body, "ok");
}

TEST(Transport, AClientThatLeavesIsNoticedWhileWaitingForHeaders) {
  std::promise<bool> closed;
  RawServer server([&](RawConnection& connection) {
    connection.read_request();
    closed.set_value(connection.wait_closed());
  });
  Transport transport;
  expect_error(run(transport.start(get(server.url()), patient(), [] { return true; })),
               ErrorClass::client_gone, "the client has closed its connection", true);
  EXPECT_TRUE(closed.get_future().get());
}

TEST(Transport, AClientThatLeavesIsNoticedWhileWaitingForTheBody) {
  std::promise<bool> closed;
  RawServer server([&](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 OK\r\n\r\nbegun");
    closed.set_value(connection.wait_closed());
  });
  Transport transport;
  std::atomic<bool> gone{false};
  {
    Exchange exchange = transport.start(get(server.url()), patient(), [&] { return gone.load(); });
    ASSERT_FALSE(exchange.wait_headers().has_value());
    EXPECT_EQ(std::get<std::string>(exchange.read()), "begun");
    gone = true;
    expect_error(run(std::move(exchange)), ErrorClass::client_gone, "closed its connection", true);
  }
  EXPECT_TRUE(closed.get_future().get());
}

TEST(Transport, DrainTakesTheEndSoThatTheConnectionIsKept) {
  std::atomic<int> connections{0};
  RawServer server([&](RawConnection& connection) {
    ++connections;
    for (int i = 0; i < 2; ++i) {
      if (connection.read_request().empty()) return;
      connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlast\r\n");
      connection.send("0\r\n\r\n");
    }
  });
  Transport transport;
  for (int i = 0; i < 2; ++i) {
    Exchange exchange = transport.start(get(server.url()), patient(), {});
    ASSERT_FALSE(exchange.wait_headers().has_value());
    EXPECT_EQ(std::get<std::string>(exchange.read()), "last");
    exchange.drain(5000);
  }
  EXPECT_EQ(connections, 1);
}

TEST(Transport, AClosedPortIsANetworkErrorThatChargedNothing) {
  std::string url;
  {
    RawServer server([](RawConnection&) {});
    url = server.url();
  }
  Transport transport;
  expect_error(run(transport.start(get(url), patient(), {})), ErrorClass::network,
               "cannot be reached", false);
}

// The bytes that ask a proxy for a connection are none of the provider's.
TEST(Transport, AProxyThatRefusesIsANetworkErrorThatChargedNothing) {
  RawServer proxy([](RawConnection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  });
  const std::string url = proxy.url();
  ASSERT_EQ(setenv("https_proxy", url.c_str(), 1), 0);
  Transport transport;
  const Outcome outcome =
      run(transport.start({"POST", "https://provider.invalid/", {}, "{}"}, patient(), {}));
  unsetenv("https_proxy");
  expect_error(outcome, ErrorClass::network, "cannot be reached", false);
}

TEST(Transport, OnlyHttpAndHttps) {
  Transport transport;
  for (const char* url :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1", "", "::", "127.0.0.1"})
    expect_error(run(transport.start(get(url), patient(), {})), ErrorClass::network,
                 "The provider's base URL is no valid http or https URL.", false);
}

TEST(Transport, AHeaderWithALineBreakIsNotSent) {
  LoopbackServer server;
  Transport transport;
  expect_error(
      run(transport.start({"GET", server.url("/hello"), {{"X-Sent", "a\r\nX-Evil: 1"}}, ""},
                          patient(), {})),
      ErrorClass::invalid_request, "line break", false);
  EXPECT_TRUE(server.ports().empty());
}

TEST(Transport, ErrorsNameTheOriginAndNoSecretOfTheUrl) {
  RawServer server([](RawConnection& connection) {
    connection.read_request();
    connection.wait_closed();
  });
  Transport transport;
  TransportLimits limits = patient();
  limits.first_byte_timeout_ms = 50;
  std::string url = server.url("/v1?key=secret2");
  const std::string origin = server.url("");
  url.insert(7, "user:secret1@");
  const Outcome outcome = run(transport.start(get(url), limits, {}));
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->message.find(origin + " did not begin"), 0U) << outcome.error->message;
  EXPECT_EQ(outcome.error->message.find("secret"), std::string::npos);
}

TEST(Transport, TlsIsNotSkippedForAnHttpsUrl) {
  LoopbackServer server;
  Transport transport;
  std::string url = server.url("/hello");
  url.insert(4, "s");
  expect_error(run(transport.start(get(url), patient(), {})), ErrorClass::network,
               "cannot be reached", false);
  EXPECT_TRUE(server.ports().empty());
}

} // namespace
} // namespace holdfast::gateway
