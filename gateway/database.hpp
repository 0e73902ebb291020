// Every SQL statement of the gateway: one typed call for each function of the extension.
#pragma once

#include "gateway/database_group.hpp"
#include "gateway/database_pool.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::gateway {

// Money is decimal text as PostgreSQL writes it, UUIDs are text, hashes are raw bytes.

// Who a key belongs to.
struct KeyOwner {
  std::string api_key_id;
  std::optional<std::string> user_id;
  std::string role;
};

// A priced model of a provider, costs in USD for a million tokens.
struct PricedModel {
  std::string provider;
  std::string model;
  std::string input_cost;
  std::string output_cost;
};

// What open_call is asked. No `provider`: the database chooses among `providers`.
struct OpenRequest {
  std::string organization_id;
  std::string hold_id; // that the call is to have
  std::string key_hash;
  std::string model;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::optional<std::string> provider;
  std::vector<std::string> providers;
  std::optional<std::string> workflow_id;
  std::optional<std::string> user_id;
  std::optional<std::string> idempotency_key;
  std::optional<std::string> fingerprint;
  std::int64_t ttl_ms = 0;
  std::string sizing = "strict";
  std::optional<std::string> client_ip;
  std::optional<std::string> route;
  std::vector<std::string> models; // one for each of `providers`; without, `model` for all
  std::string routing = "cheapest";
  int fallbacks = 0;
  std::vector<std::string> capabilities;
  std::string request_id;
  std::string correlation_id;
  std::string subject;                      // whose budgets it moves, as far as its caller says
  std::optional<std::string> approve_above; // USD; a dearer call waits for an approval
  std::optional<std::string> approval_id;
};

// A request that the database refused though it knows its key.
struct Refusal {
  int status = 0;
  std::string code;
  const OpenRequest& request;
};

// A failed attempt, and the provider and model that are to take over from it.
struct NextAttempt {
  std::string organization_id;
  std::string hold_id;
  std::string new_hold_id;
  std::string provider;
  std::string model;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t ttl_ms = 0;
  std::string sizing = "strict";
  // What the failed one may have been charged for; nothing when it was not.
  std::optional<std::int64_t> used_prompt_tokens;
  std::optional<std::int64_t> used_completion_tokens;
  bool fallback_used = false;
  std::string metadata_json = "{}";
  // How the failed one's provider did, where that is known.
  std::optional<bool> provider_ok;
  std::optional<std::int64_t> latency_ms;
  std::optional<std::string> trial;
};

// An attempt that took over: the cost of the failed one, where it was charged.
struct BegunAttempt {
  std::optional<std::string> cost_usd;
  std::optional<std::string> trial;
};

struct RetryAdmission {
  bool admitted = false;
  std::optional<std::string> trial;
};

enum class OpenOutcome { granted, denied, limited, replay, in_flight, approval_required };

// How a call stands with the rate limit that is tightest, or that refused it.
struct RateFigures {
  std::string layer;
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  std::int64_t reset_ms = 0;
};

// What open_call answered; which fields are set depends on the outcome.
struct OpenedCall {
  OpenOutcome outcome = OpenOutcome::denied;
  std::string hold_id;
  std::string provider;
  std::string model;
  std::optional<std::string> estimated_cost;
  std::string scope;
  std::optional<std::string> limit_usd;
  std::optional<std::string> spent_usd;
  std::optional<std::string> held_usd;
  std::optional<std::string> remaining_usd;
  std::optional<std::string> user_id;
  std::optional<std::int64_t> retry_after_ms;
  int answer_status = 0;
  std::string answer;
  std::optional<std::int64_t> completion_tokens; // at most so many are to be asked for
  std::optional<std::string> warning;            // the scope whose soft limit is reached
  std::optional<RateFigures> rate;
  std::optional<std::string> trial; // of the provider's circuit breaker
  bool keeps_bodies = false;        // the audit log wants the request with the settlement
  std::string routing_json;         // what was chosen and why: {strategy, reason, chain, skipped}
  bool redact = false;              // the organization wants the provider to get a redacted prompt
  std::string approval_id;          // that the call waits for
  std::optional<std::string> approval_threshold;
  std::string expires_at;     // of the approval
  bool caches_all = false;    // it wants the answers to all its requests kept
  bool scoped_budgets = true; // it has others than its month's and its workflows'
};

// What a granted call used, and what its caller was answered.
struct Settlement {
  std::string organization_id;
  std::string subject; // as the call was opened for
  std::string hold_id;
  std::string model;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t cache_write_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  bool estimated = false;
  std::optional<std::string> reported_cost_usd;
  int answer_status = 200;
  std::string answer;
  std::string metadata_json = "{}";
  // How the provider did, where that is known.
  std::optional<bool> provider_ok;
  std::optional<std::int64_t> latency_ms;
  std::optional<std::string> trial;
  bool fallback_used = false;
  std::optional<std::string> request; // its body, where the audit log keeps it
};

// The ledger's word on a settlement.
struct SettledCall {
  std::optional<std::string> cost_usd;
  std::optional<std::string> remaining_usd;
};

// The gateway's side of the extension. Each call is one statement, on a connection that is held no
// longer, in a transaction of its own or, for opening and settling calls, with others of its kind.
// Throws DatabaseError when the database refuses, and DatabaseUnavailable when it could not be
// asked or did not answer. Safe for use by many threads.
class Database {
public:
  Database(const std::string& conninfo, int pool_size);

  // Connects and prepares every statement. Throws std::runtime_error with a sentence for the
  // operator when the database cannot be reached or the extension is not in it.
  void check();

  // Whether the database answers now.
  bool is_alive();

  KeyOwner authenticate_key(const std::string& organization_id, const std::string& key_hash);
  std::vector<PricedModel> list_models(const std::vector<std::string>& providers);
  // Asked for again when the connection is lost; DatabaseUnavailable is in doubt when it may have
  // been opened all the same.
  OpenedCall open_call(const OpenRequest& request);
  // Safe to repeat: the same hold settles once.
  SettledCall settle_call(const Settlement& settlement);
  // Safe to repeat. DatabaseError PT402, PT429, PT503: budgets, rate limit or breaker do not let it
  // be made, and nothing has changed.
  BegunAttempt next_attempt(const NextAttempt& next);
  // Before another attempt at the same provider: tells how the last one's provider did. The trial
  // of its breaker, or false when it is not to be asked now.
  RetryAdmission retry_attempt(const NextAttempt& next);
  // Tells all gateways that a provider (for one model, or "" for all) is not to be asked for now.
  void pause_provider(const std::string& provider, const std::string& model, std::int64_t for_ms,
                      const std::string& reason);
  // Leaves the refusal on record.
  void record_refusal(const Refusal& refusal);
  // Of the settlement only the organization, the hold, the status of the answer, the metadata and
  // how the provider did count.
  bool release_call(const Settlement& released);
  void extend_hold(const std::string& organization_id, const std::string& hold_id,
                   std::int64_t ttl_ms);

  // From then on nothing waits for the database any more.
  void give_up_at(std::chrono::steady_clock::time_point when) { pool_.give_up_at(when); }

  // For further statements.
  DatabasePool& pool() { return pool_; }

private:
  DatabasePool pool_;
  GroupConnections lanes_;
  GroupCommit group_;
};

} // namespace holdfast::gateway
