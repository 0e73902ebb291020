// The SQL statements on runs of workflows: one typed call for each function of the extension.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/database.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::gateway {

// Who asks: an API key's organization and hash.
struct Caller {
  std::string organization_id;
  std::string key_hash;
};

// A saved definition. `json` is the definition itself.
struct SavedDefinition {
  std::string workflow_id;
  std::string name;
  std::string version;
  std::string json;
  std::string created_at;
  bool duplicate = false;
};

// A run to begin: of a saved definition by id or name, or of `definition`.
struct RunOrder {
  std::optional<std::string> workflow_id;
  std::optional<std::string> name;
  std::optional<std::string> definition;
  std::string input = "{}";
  std::optional<std::string> split_key; // the same draws the same variants
  std::optional<std::string> user_id;
  std::optional<std::string> idempotency_key;
  std::optional<std::string> client_ip;
  std::string route;
};

// A run, or a batch of them, that was to begin. Not granted: a budget refused it, or, `limited`, a
// rate limit.
struct StartedRun {
  std::string id;
  bool granted = false;
  bool limited = false;
  bool duplicate = false;
  std::string scope; // of the budget that refused
  std::optional<std::string> limit_usd;
  std::optional<std::string> spent_usd;
  std::optional<std::string> held_usd;
  std::optional<RateFigures> rate;
  std::optional<std::int64_t> retry_after_ms;
};
// Reads one from the columns id, status, granted, duplicate and those of the refusal from `refusal`
// on.
StartedRun started_run(const Rows& rows, int refusal);

// A run as it stands. `steps` and `error` are JSON; money is decimal text.
struct RunView {
  std::string run_id;
  std::optional<std::string> workflow_id;
  std::string name;
  std::string version;
  std::optional<std::string> user_id;
  std::string status;
  std::string steps;
  std::optional<std::string> error;
  std::optional<std::string> total_cost_usd;
  std::string total_latency_ms;
  std::string created_at;
  std::optional<std::string> ended_at;
  std::string replay_token;
  std::optional<std::string> replay_of;

  bool has_ended() const { return ended_at.has_value(); }
};

struct RunEvent {
  std::string number;
  std::string at;
  std::string event;
  std::optional<std::string> step_id;
  std::string detail; // JSON
};

// A step that this gateway has taken.
struct ClaimedStep {
  std::string organization_id;
  std::string run_id;
  std::string step_id;
  std::string fence;
  std::string provider;
  std::string model;
  std::string prompt;
  std::optional<std::string> system_prompt;
  int max_tokens = 0;
  std::optional<double> temperature;
  std::optional<std::string> schema; // JSON: what the answer has to fit
  bool delivers = false;             // the prompt is a document to be handed over
};

// How an attempt failed. Without `usage` it was not charged. `elsewhere`: another provider may do
// it; `provider_ok` is for the circuit breaker of this one, where that is known.
struct StepFailure {
  std::string code;
  std::string message;
  bool transient = false;
  bool elsewhere = false;
  std::optional<int> retry_after_ms;
  std::optional<Usage> usage;
  std::optional<bool> provider_ok;
  std::int64_t latency_ms = 0;
};

struct FinishedStep {
  bool accepted = false;
  std::string run_status;
};

// Throws as Database does. Safe for use by many threads.
class RunDatabase {
public:
  explicit RunDatabase(DatabasePool& pool) : pool_(pool) {}

  // Prepares every statement; throws DatabaseError when the extension lacks one.
  void check();

  SavedDefinition save_definition(const Caller& caller, const std::string& definition);
  std::vector<SavedDefinition> list_definitions(const Caller& caller);
  StartedRun start(const Caller& caller, const RunOrder& order);
  RunView get(const Caller& caller, const std::string& run_id);
  std::vector<RunView> list(const Caller& caller, const std::optional<std::string>& workflow_id,
                            const std::optional<std::string>& user_id, int limit);
  std::vector<RunEvent> events(const Caller& caller, const std::string& run_id,
                               const std::string& after);
  void cancel(const Caller& caller, const std::string& run_id,
              const std::optional<std::string>& reason);
  void approve(const Caller& caller, const std::string& run_id, const std::string& step_id,
               bool approved, const std::optional<std::string>& reason);

  // What workers do, for every organization.
  std::vector<ClaimedStep> claim(const std::string& worker,
                                 const std::vector<std::string>& providers,
                                 const std::vector<std::string>& models, int most,
                                 std::int64_t lease_ms);
  // Both are safe to repeat: an attempt ends once.
  // Without `usage` nothing was charged.
  FinishedStep complete(const ClaimedStep& step, const std::string& output,
                        const std::optional<Usage>& usage, std::int64_t latency_ms,
                        const std::string& metadata_json);
  FinishedStep fail(const ClaimedStep& step, const StepFailure& failure);
  // Returns how many of the steps are no longer this worker's.
  int heartbeat(const std::string& worker, const std::vector<ClaimedStep>& steps,
                std::int64_t lease_ms);
  int reap(int most);
  // Looks after batches, and returns how many runs of them were begun.
  int tend_batches(int most);

private:
  DatabasePool& pool_;
};

// Hears the database's notices about runs, on a connection of its own. For one thread.
class RunListener {
public:
  RunListener(std::string conninfo, const Deadline& give_up)
      : conninfo_(std::move(conninfo)), give_up_(give_up) {}

  // Waits up to `wait_ms` and returns what came, by channel and payload: holdfast_steps (there is
  // work) and holdfast_runs (with the run's id). Throws DatabaseUnavailable or DatabaseError; the
  // next call connects anew.
  std::vector<std::pair<std::string, std::string>> wait(int wait_ms);

private:
  std::string conninfo_;
  const Deadline& give_up_;
  std::unique_ptr<Connection> connection_;
};

} // namespace holdfast::gateway
