// The SQL statements on workflows of the graph intent, and on graphs.
#pragma once

#include "gateway/database_runs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::gateway {

struct IntentWorkflow {
  std::string workflow_id;
  std::string state;
  std::optional<std::string> step;
  std::string status;
  std::string open_steps;  // JSON
  std::string next_states; // JSON
  std::optional<std::string> total_cost_usd;
  std::optional<std::string> held_usd;
  std::optional<std::string> limit_usd;
  std::string history;                // JSON
  std::string data;                   // JSON
  std::optional<std::string> running; // JSON
  std::optional<std::string> failure; // JSON
  std::string created_at;
  std::string updated_at;
};

// A step to begin: by name, or (`retry` without one) the one that has failed.
struct IntentOrder {
  std::string workflow_id;
  std::optional<std::string> step;
  std::optional<std::string> request; // JSON; absent in a retry: as before
  bool retry = false;
  std::optional<std::string> user_id;
  std::optional<std::string> idempotency_key;
  std::string correlation_id;
};

struct IntentStarted {
  StartedRun run;
  std::string step;
};

// Throws as Database does. Safe for use by many threads.
class IntentDatabase {
public:
  explicit IntentDatabase(DatabasePool& pool) : pool_(pool) {}

  // Prepares every statement. Throws std::runtime_error that names each fault of a graph that is in
  // use: workflows would be stuck on it.
  void check();

  // Returns the workflow's id, and whether it was there under this key.
  std::pair<std::string, bool> create(const Caller& caller, const std::string& input,
                                      const std::optional<std::string>& cost_limit,
                                      const std::optional<std::string>& idempotency_key);
  IntentWorkflow get(const Caller& caller, const std::string& workflow_id);
  IntentStarted start(const Caller& caller, const IntentOrder& order);
  void review(const Caller& caller, const std::string& workflow_id,
              const std::vector<std::string>& keywords, const std::optional<std::string>& note,
              const std::optional<std::string>& user_id, const std::string& correlation_id);
  void cancel(const Caller& caller, const std::string& workflow_id,
              const std::optional<std::string>& reason, const std::optional<std::string>& user_id,
              const std::string& correlation_id);

private:
  DatabasePool& pool_;
};

} // namespace holdfast::gateway
