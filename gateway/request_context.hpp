// What is known of one request from its first byte to its log line.
#pragma once

#include "gateway/http_error.hpp"
#include "gateway/ids.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::gateway {

// Lives as long as the request is served, its stream included; used by its thread alone.
struct RequestContext {
  std::string request_id = new_uuid();
  std::string correlation_id = request_id; // the caller's, where it sent one
  std::string_view body;                   // as it came; valid until the handler returns
  std::string traceparent;                 // for the answer, where one came
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  std::string route = "unknown";
  std::string client_ip; // of the client, also behind a trusted proxy
  std::string organization_id;
  std::string provider;
  std::string model;
  std::string error_code;
  std::optional<std::string> cost_usd;
  // Headers of the answer that are known before it: what a budget changed or warns of.
  std::vector<std::pair<std::string, std::string>> notices;
  // What is wrong with the head, found before the body is read.
  std::optional<HttpError> refusal;
  // Bytes of this request may still be unread: the connection cannot serve another.
  bool unread = true;
  // Whether the client has closed its side.
  std::function<bool()> client_gone = [] { return false; };

  std::int64_t elapsed_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 begun)
        .count();
  }
};

} // namespace holdfast::gateway
