// A front door: one dialect in which calls are asked for and answered.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/http_library.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::gateway {

// What an answer is written from.
struct AnswerFacts {
  const ChatAnswer& answer;
  Usage usage;
  std::string request_id;
  std::string provider;
  std::string model;
  std::int64_t latency_ms = 0;
  bool fallback_used = false;
  std::string routing; // JSON text
};

// Writes answers and streams; no I/O. One for each request. Texts are whole SSE events.
class FrontDoor {
public:
  FrontDoor() = default;
  FrontDoor(const FrontDoor&) = delete;
  FrontDoor& operator=(const FrontDoor&) = delete;
  virtual ~FrontDoor() = default;

  virtual ErrorShape shape() const = 0;

  // A stored body as the answer of another request, which made no call.
  virtual std::string cached_body(const std::string& stored, const RequestContext&) const {
    return stored;
  }

  // The body of an answer, as it is stored for repeats: all but its cost, which only the settlement
  // that stores it knows.
  virtual std::string stored_body(const AnswerFacts& facts) const = 0;

  // The body as it is sent.
  virtual std::string sent_body(const std::string& stored,
                                const std::optional<std::string>& cost_usd) const = 0;

  // One event of the provider's stream, "" when the client is to see none.
  virtual std::string stream_event(const StreamEvent& event) = 0;

  // The end of a stream that went well. `settled` is empty when the cost is not known yet.
  virtual std::string stream_end(const std::string& stored, const Usage& usage,
                                 const std::optional<SettledCall>& settled) = 0;

  // The end of a stream that did not.
  virtual std::string stream_error(const HttpError& error, const std::string& request_id) = 0;

  // A stored body as a whole stream.
  virtual std::string stream_replay(const std::string& stored,
                                    const std::optional<std::string>& cost_usd) = 0;
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// X-Holdfast-Cost, and X-Holdfast-Remaining where a budget applies.
void add_cost_headers(const SettledCall& settled, HeaderList& headers);

// Answers with what was stored, in the form of `body`.
void replay_whole(const StoredAnswer& stored, const std::string& body, httplib::Response& response);

// Whose request it is, for the log; and which, for the ledger's metadata.
void note_request(RequestContext& context, CallOrder& order);

// Makes the call and answers it, streaming when the order says so. Throws HttpError, DatabaseError
// and DatabaseUnavailable before anything was sent.
void serve_call(Services& services, RequestContext& context, CallOrder order,
                std::shared_ptr<FrontDoor> door, httplib::Response& response);

} // namespace holdfast::gateway
