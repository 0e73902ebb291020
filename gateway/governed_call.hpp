// One governed call: opened in the database before the provider is asked, resolved there after.
#pragma once

#include "extension/core/usd.hpp"
#include "gateway/call.hpp"
#include "gateway/database.hpp"
#include "gateway/embedding_call.hpp"
#include "gateway/hold_keeper.hpp"
#include "gateway/live_config.hpp"
#include "gateway/provider_news.hpp"
#include "gateway/request_context.hpp"
#include "gateway/request_controls.hpp"
#include "gateway/response_cache.hpp"
#include "gateway/settlement_queue.hpp"
#include "gateway/settlement_spool.hpp"
#include "gateway/transport.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace holdfast::gateway {

// What all requests share. `stopping` turns true when a stop begins: what only watches ends. `cut`
// turns true when the stop has waited long enough: running calls end.
struct Services {
  const LiveConfig& config;
  Database& database;
  Transport& transport;
  SettlementQueue& settlements;
  SettlementSpool& spool;
  HoldKeeper& holds;
  ResponseCache& cache;
  std::atomic<bool> cut{false};
  std::atomic<bool> stopping{false};
};

// What a front door asks for. With `embedding` that is asked for, and of the chat only the model
// counts. `provider`, when set, is asked first, and alone unless `candidates`
// or `fallbacks` let others stand in. Without candidates every active provider is one, with the
// chat's model. Without `fallbacks` the gateway's setting counts where no provider is named.
struct CallOrder {
  Controls controls;
  ChatRequest chat;
  std::optional<EmbeddingRequest> embedding;
  std::optional<std::string> provider;
  std::vector<Candidate> candidates;
  std::string routing = "cheapest";
  std::optional<int> fallbacks;
  std::vector<Candidate> named_fallbacks; // read, and not candidates yet
  std::vector<std::string> capabilities;
  std::string fingerprint;
  nlohmann::json metadata = nlohmann::json::object();
  CacheWish cache;
  std::shared_ptr<CacheFlight> flight; // where the answer is to be kept

  // The most tokens that the prompt can have, and a counter of what is used.
  std::int64_t prompt_bound() const;
  UsageCounter counter() const;
};

// What an earlier call under the same Idempotency-Key was answered. `cost_usd` is what that one
// cost, when the database says.
struct StoredAnswer {
  int status = 200;
  std::string body;
  std::optional<std::string> cost_usd;
};

// A call with a granted hold. It is resolved exactly once; one that is destroyed unresolved is
// settled with what was counted, so that no path forgets it.
class GovernedCall {
public:
  // Opens a call. Throws HttpError when there is none to make: bad value, denied (402), in flight
  // (409), a feature that the provider lacks (422; without a provider named, those that lack it are
  // not asked), no place for its settlement (503), database away (503).
  static std::variant<std::unique_ptr<GovernedCall>, StoredAnswer>
  open(Services& services, RequestContext& context, CallOrder order);

  // Takes over a hold that was granted; open() is the way to get one.
  GovernedCall(Services& services, std::shared_ptr<const Config> config, RequestContext& context,
               CallOrder order, OpenedCall opened, SettlementQueue::Place place);
  ~GovernedCall();
  GovernedCall(const GovernedCall&) = delete;
  GovernedCall& operator=(const GovernedCall&) = delete;

  // Moves the call on after a failed attempt: to the next provider of its chain, or (`again`) to a
  // new attempt at the same one. What the failed one may have been charged for is settled. False
  // when there is no next one, or the budgets have no room for it: the call is then as it was.
  bool move_on(const ProviderError& error, bool again);

  // How many attempts at the present provider have failed.
  int failures() const { return failures_; }
  bool has_next() const { return link_ + 1 < chain_.size(); }

  // Tells all gateways to leave the present provider alone when it says that it is exhausted.
  void heed(const ProviderError& error);
  void heed(std::optional<int> exhausted_ms);

  // Starts the attempt at the provider whose turn it is.
  std::unique_ptr<ProviderCall> start_provider(std::function<bool()> client_gone);

  // The same for embeddings: makes the attempt and waits for its end.
  EmbeddingAttempt embed(std::function<bool()> client_gone);

  // What was received so far; feed it what the provider sends.
  UsageCounter& counter() { return counter_; }
  const std::string& provider() const { return opened_.provider; }
  const std::string& model() const { return opened_.model; }
  bool fallback_used() const { return link_ > 0; }
  // Why this provider: {strategy, reason, attempts} as JSON text.
  std::string routing_text() const;
  const RequestContext& context() const { return context_; }
  // The settings that the call began with.
  const Config& config() const { return *config_; }
  bool has_idempotency_key() const { return order_.controls.idempotency_key.has_value(); }

  // Settles what was counted, with the answer that a repeat is to get. Never throws and never loses
  // it: nothing is returned when the database is to take it later.
  std::optional<SettledCall> settle(int answer_status, const std::string& answer);

  // Keeps the answer, as its front door has written it, for requests that are the same: where that
  // is wanted, and the answer is what was asked for.
  void keep_in_cache(const ChatAnswer& answer, const std::string& stored);

  // Gives the hold back: the provider charged nothing. `answer_status` is what the caller is told.
  void release(int answer_status);

  // For the provider's circuit breaker: its answer has begun, or it failed.
  void note_began();
  void note_failed(const ProviderError& error);

  // Names the model that answered, and whether it is another than asked for, in the ledger's
  // metadata.
  void note_answering_model(const std::string& model);

private:
  const ProviderConfig& begin_attempt();
  void count_attempt(const ProviderError* error);
  NextAttempt next_attempt(const ProviderError& error, std::size_t link) const;
  bool try_link(const ProviderError& error, std::size_t link, bool again);
  bool retry(const NextAttempt& next);
  void take_over(const NextAttempt& next, std::size_t link, bool again);
  void forget_outcome();
  Settlement settlement(int answer_status, const std::string& answer) const;
  void note_provider(Settlement& end) const;
  std::optional<SettledCall> resolve(Resolution resolution);
  void tell_provider();
  void note_attempt(const ProviderError& error);
  std::string metadata_text() const;

  Services& services_;
  std::shared_ptr<const Config> config_;
  RequestContext& context_;
  CallOrder order_;
  OpenedCall opened_;
  UsageCounter counter_;
  std::optional<SettlementQueue::Place> place_;
  std::chrono::steady_clock::time_point attempt_began_ = std::chrono::steady_clock::now();
  std::optional<std::string> request_body_; // where the audit log keeps it
  bool is_counted_ = false;                 // the present attempt, in the metrics
  std::optional<bool> provider_ok_;
  bool provider_reported_ = false; // the breaker knows of this attempt
  std::optional<std::int64_t> latency_ms_;
  nlohmann::json routing_; // what the database chose and why; null when that cannot be read
  std::vector<Candidate> chain_;
  std::size_t link_ = 0;
  int failures_ = 0;
  nlohmann::json attempts_ = nlohmann::json::array();
  Usd charged_before_;
};

} // namespace holdfast::gateway
