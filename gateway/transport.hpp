// HTTP to providers, over libcurl. Knows no provider and no JSON.
#pragma once

#include "gateway/chat.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::gateway {

// Bounds of one exchange. `first_byte_timeout_ms` runs from the start to the end of the headers,
// `idle_timeout_ms` between pieces of the body, `total_timeout_ms` over everything.
struct TransportLimits {
  int connect_timeout_ms = 5000;
  int first_byte_timeout_ms = 60000;
  int idle_timeout_ms = 30000;
  int total_timeout_ms = 600000;
  std::size_t max_answer_bytes = 16777216;
};

// One request. `url` is http or https; a Host, Content-Length or Expect header is libcurl's
// business.
struct TransportRequest {
  std::string method;
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// The body has ended as the headers promised.
struct BodyEnd {};

class TransportPool;
class ExchangeState;

// One request on its way. Pull style: nothing is received but inside wait_headers() and read().
// Destroying it gives the connection back when the answer was read to its end, else closes it.
// For one thread at a time.
class Exchange {
public:
  explicit Exchange(std::unique_ptr<ExchangeState> state);
  Exchange(Exchange&&) noexcept;
  Exchange& operator=(Exchange&&) noexcept;
  ~Exchange();

  // Blocks until the status line and headers are there. An error when they do not come in time,
  // the connection fails, or `client_gone` turned true (noticed within 100 ms).
  std::optional<ProviderError> wait_headers();

  // Blocks for the next bytes of the body. After BodyEnd or an error, that same result again.
  std::variant<std::string, BodyEnd, ProviderError> read();

  // Waits at most `wait_ms` for the end of a body that has nothing more to say, so that the
  // connection can be kept.
  void drain(int wait_ms);

  // Valid after wait_headers() returned no error. Header names are in lower case.
  int status() const;
  const std::multimap<std::string, std::string>& headers() const;

private:
  std::unique_ptr<ExchangeState> state_;
};

// Keeps connections between exchanges: at most `max_idle` of them wait for reuse. TLS is verified,
// redirects are not followed, only http and https are spoken. Safe for use by many threads.
// Exchanges may outlive it: then their connections are closed instead of kept.
class Transport {
public:
  explicit Transport(std::size_t max_idle = 64);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Starts an exchange; problems are told by wait_headers(). `client_gone` may be empty.
  Exchange start(TransportRequest request, const TransportLimits& limits,
                 std::function<bool()> client_gone);

private:
  std::shared_ptr<TransportPool> pool_;
};

} // namespace holdfast::gateway
