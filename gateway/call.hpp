// One attempt at one provider: the adapter's dialect over the transport, or the sandbox.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/embedding.hpp"
#include "gateway/transport.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace holdfast::gateway {

// A provider as the operator configured it. `name` is one of provider::all_providers(); `base_url`
// empty means the provider's own. The key is never written anywhere but into the request.
struct ProviderConfig {
  std::string name;
  std::string base_url;
  std::string api_key;
};

// One attempt; use either answer(), or begin_stream() and then next(). Blocking, for one thread at
// a time. Destroying it closes the connection when the answer is not complete.
class ProviderCall {
public:
  ProviderCall() = default;
  ProviderCall(const ProviderCall&) = delete;
  ProviderCall& operator=(const ProviderCall&) = delete;
  virtual ~ProviderCall() = default;

  // Starts the attempt at once. `transport` must outlive the call; `client_gone` may be empty, is
  // asked from the calling thread at most every 100 ms (by the sandbox: before each event), and
  // should not block. For an answer that is not streamed leave it empty: an abandoned one is billed
  // all the same, but nobody learns how much. Throws std::invalid_argument when `config.name` is no
  // provider.
  static std::unique_ptr<ProviderCall> start(Transport& transport, const ChatRequest& request,
                                             const ProviderConfig& config,
                                             const TransportLimits& limits,
                                             std::function<bool()> client_gone = {});

  // The whole answer, for a request with `stream` false.
  virtual std::variant<ChatAnswer, ProviderError> answer() = 0;

  // For a request with `stream` true: waits for the status and headers. An error when there is no
  // stream to read; next() then has nothing.
  virtual std::optional<ProviderError> begin_stream() = 0;

  // The next event, or nothing at the end. The last event is `done` or has an error; when the
  // client is gone the stream stops with an error of class client_gone.
  virtual std::optional<StreamEvent> next() = 0;

  // For how long the provider's headers say that nothing more can be asked of it; nothing when they
  // do not. Known once the headers are there.
  virtual std::optional<int> exhausted_ms() const { return std::nullopt; }
};

// Counts what was received, for streams that end without the provider's count. Feed it every event;
// it never keeps the text.
class UsageCounter {
public:
  explicit UsageCounter(const ChatRequest& request);
  explicit UsageCounter(const EmbeddingRequest& request);

  void add(const StreamEvent& event);
  void add(const ChatAnswer& answer);
  void add(const EmbeddingAnswer& answer);

  // The provider's last count when one came. Else an estimate, marked so: a token for each four
  // bytes begun, of the prompt and of all text received, or the provider's count of what it had
  // counted when that is more.
  Usage usage() const;

private:
  std::int64_t prompt_estimate_ = 0;
  std::int64_t completion_bound_ = 0;
  std::int64_t received_bytes_ = 0;
  std::optional<Usage> reported_;
};

} // namespace holdfast::gateway
