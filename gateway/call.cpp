#include "gateway/call.hpp"

#include "gateway/provider_exchange.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/providers/retry_delay.hpp"
#include "gateway/providers/sandbox.hpp"
#include "gateway/token_bound.hpp"

#include <algorithm>
#include <ctime>
#include <deque>
#include <stdexcept>
#include <utility>

namespace holdfast::gateway {

namespace {

constexpr int kStatusOk = 200;
// Long enough for the last packet of a stream that has said its last word.
constexpr int kDrainMs = 20;

std::int64_t now_seconds() {
  return static_cast<std::int64_t>(std::time(nullptr));
}

class HttpCall : public ProviderCall {
public:
  HttpCall(const provider::ProviderInfo& info, Transport& transport, const ChatRequest& request,
           const ProviderConfig& config, const TransportLimits& limits,
           std::function<bool()> client_gone)
      : adapter_(*info.adapter), api_key_(config.api_key), model_(request.model),
        exchange_(begin(info, transport, request, config, limits, std::move(client_gone))) {}

  ~HttpCall() override {
    if (done_) exchange_.drain(kDrainMs);
  }

  std::variant<ChatAnswer, ProviderError> answer() override {
    std::variant<provider::HttpAnswer, ProviderError> received = read_whole(exchange_);
    if (auto* error = std::get_if<ProviderError>(&received)) return cleaned(*error);
    auto parsed = adapter_.parse_chat(std::get<provider::HttpAnswer>(received));
    if (auto* error = std::get_if<ProviderError>(&parsed)) return cleaned(*error);
    ChatAnswer& answer = std::get<ChatAnswer>(parsed);
    if (answer.created == 0) answer.created = started_;
    if (answer.model.empty()) answer.model = model_;
    return parsed;
  }

  std::optional<ProviderError> begin_stream() override {
    if (std::optional<ProviderError> error = exchange_.wait_headers()) return cleaned(*error);
    if (exchange_.status() == kStatusOk) {
      parser_ = adapter_.stream_parser();
      return std::nullopt;
    }
    std::variant<provider::HttpAnswer, ProviderError> received = read_whole(exchange_);
    if (auto* error = std::get_if<ProviderError>(&received)) return cleaned(*error);
    return cleaned(adapter_.parse_error(std::get<provider::HttpAnswer>(received)));
  }

  std::optional<StreamEvent> next() override {
    while (events_.empty() && parser_ && !ended_)
      receive();
    if (events_.empty()) return std::nullopt;
    StreamEvent event = std::move(events_.front());
    events_.pop_front();
    if (event.created == 0) event.created = started_;
    if (event.model.empty()) event.model = model_;
    if (event.error) event.error = cleaned(*event.error);
    return event;
  }

  std::optional<int> exhausted_ms() const override {
    return provider::exhausted_ms({exchange_.status(), exchange_.headers(), {}});
  }

private:
  Exchange begin(const provider::ProviderInfo& info, Transport& transport,
                 const ChatRequest& request, const ProviderConfig& config,
                 const TransportLimits& limits, std::function<bool()> client_gone) const {
    return start_exchange(transport, info, config, adapter_.chat_request(request, config.api_key),
                          limits, std::move(client_gone));
  }

  // Takes the next bytes of the stream and queues the events they complete.
  void receive() {
    auto part = exchange_.read();
    if (auto* error = std::get_if<ProviderError>(&part)) {
      StreamEvent failed;
      failed.error = std::move(*error);
      return queue({std::move(failed)});
    }
    if (std::holds_alternative<BodyEnd>(part)) return queue(parser_->finish());
    queue(parser_->feed(std::get<std::string>(part)));
  }

  void queue(std::vector<StreamEvent> events) {
    for (StreamEvent& event : events) {
      done_ = done_ || event.done;
      ended_ = ended_ || event.done || event.error.has_value();
      events_.push_back(std::move(event));
    }
  }

  ProviderError cleaned(ProviderError error) const {
    return without_secret(std::move(error), api_key_);
  }

  const provider::Adapter& adapter_;
  std::string api_key_;
  // Not every provider names the model that answers: it is then the one asked for.
  std::string model_;
  Exchange exchange_;
  std::unique_ptr<provider::StreamParser> parser_;
  std::deque<StreamEvent> events_;
  std::int64_t started_ = now_seconds();
  bool done_ = false;
  bool ended_ = false;
};

class SandboxCall : public ProviderCall {
public:
  SandboxCall(ChatRequest request, std::function<bool()> client_gone)
      : request_(std::move(request)), client_gone_(std::move(client_gone)) {}

  std::variant<ChatAnswer, ProviderError> answer() override {
    ChatAnswer made = provider::sandbox::answer(request_);
    made.created = now_seconds();
    return made;
  }

  std::optional<ProviderError> begin_stream() override {
    for (StreamEvent& event : provider::sandbox::stream(request_))
      events_.push_back(std::move(event));
    return std::nullopt;
  }

  std::optional<StreamEvent> next() override {
    if (events_.empty()) return std::nullopt;
    if (client_gone_ && client_gone_()) return stopped();
    StreamEvent event = std::move(events_.front());
    events_.pop_front();
    event.created = started_;
    return event;
  }

private:
  StreamEvent stopped() {
    events_.clear();
    StreamEvent event;
    event.error = ProviderError{};
    event.error->error_class = ErrorClass::client_gone;
    event.error->message = "The sandbox was left: the client has closed its connection.";
    event.error->maybe_charged = true;
    return event;
  }

  ChatRequest request_;
  std::function<bool()> client_gone_;
  std::deque<StreamEvent> events_;
  std::int64_t started_ = now_seconds();
};

std::int64_t size_of(const std::string& text) {
  return static_cast<std::int64_t>(text.size());
}

} // namespace

std::unique_ptr<ProviderCall> ProviderCall::start(Transport& transport, const ChatRequest& request,
                                                  const ProviderConfig& config,
                                                  const TransportLimits& limits,
                                                  std::function<bool()> client_gone) {
  const provider::ProviderInfo* info = provider::find_provider(config.name);
  if (info == nullptr) throw std::invalid_argument("there is no provider '" + config.name + "'");
  if (info->adapter == nullptr)
    return std::make_unique<SandboxCall>(request, std::move(client_gone));
  return std::make_unique<HttpCall>(*info, transport, request, config, limits,
                                    std::move(client_gone));
}

UsageCounter::UsageCounter(const ChatRequest& request)
    : prompt_estimate_(prompt_token_estimate(request)),
      completion_bound_(completion_token_bound(request)) {}

UsageCounter::UsageCounter(const EmbeddingRequest& request)
    : prompt_estimate_(prompt_token_estimate(request)) {}

void UsageCounter::add(const StreamEvent& event) {
  for (const ChatDelta& delta : event.deltas) {
    received_bytes_ += size_of(delta.content) + size_of(delta.refusal) + size_of(delta.reasoning);
    for (const ChatDelta::ToolCallPiece& piece : delta.tool_calls)
      received_bytes_ += size_of(piece.name) + size_of(piece.arguments);
  }
  if (event.usage) reported_ = event.usage;
}

void UsageCounter::add(const ChatAnswer& answer) {
  for (const Choice& choice : answer.choices) {
    received_bytes_ +=
        size_of(choice.content) + size_of(choice.refusal) + size_of(choice.reasoning);
    for (const ToolCall& call : choice.tool_calls)
      received_bytes_ += size_of(call.name) + size_of(call.arguments);
  }
  if (answer.usage) reported_ = answer.usage;
}

void UsageCounter::add(const EmbeddingAnswer& answer) {
  if (answer.usage) reported_ = answer.usage;
}

Usage UsageCounter::usage() const {
  if (reported_ && !reported_->estimated) return *reported_;
  constexpr std::int64_t kBytesPerToken = 4;
  const std::int64_t received =
      std::min((received_bytes_ + kBytesPerToken - 1) / kBytesPerToken, completion_bound_);
  Usage usage;
  usage.prompt_tokens = prompt_estimate_;
  // A stream that broke off: the provider's own count lags behind what it has sent.
  if (reported_) usage = *reported_;
  usage.completion_tokens = std::max(usage.completion_tokens, received);
  usage.estimated = true;
  return usage;
}

} // namespace holdfast::gateway
