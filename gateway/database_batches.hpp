// The SQL statements on batches of runs.
#pragma once

#include "gateway/database_runs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::gateway {

// A batch to begin: of a workflow, over `inputs` (a JSON array). `order.input` does not count.
struct BatchOrder {
  RunOrder order;
  std::string inputs;
  std::optional<std::string> max_cost_usd;
  int most_active = 10;
};

// A batch as it stands. `error` is JSON; money is decimal text, counts are decimal too.
struct BatchView {
  std::string batch_id;
  std::optional<std::string> workflow_id;
  std::string name;
  std::string version;
  std::optional<std::string> user_id;
  std::string status;
  std::string inputs;
  std::string pending;
  std::string running;
  std::string completed;
  std::string failed;
  std::string cancelled;
  std::optional<std::string> total_cost_usd;
  std::optional<std::string> held_usd;
  std::optional<std::string> remaining_usd;
  std::optional<std::string> max_cost_usd;
  std::string most_active;
  std::optional<std::string> error;
  std::string created_at;
  std::optional<std::string> ended_at;

  bool has_ended() const { return ended_at.has_value(); }
};

// What became of one input. `input`, `steps` and `error` are JSON.
struct BatchResult {
  std::string input_no;
  std::string input;
  std::optional<std::string> run_id;
  std::string status;
  std::optional<std::string> steps;
  std::optional<std::string> error;
  std::optional<std::string> total_cost_usd;
  std::optional<std::string> total_latency_ms;
};

// A page of results: those after an input's number, at most so many, of one status where given.
struct BatchPage {
  int after = 0;
  int limit = 100;
  std::optional<std::string> status;
};

// Throws as Database does. Safe for use by many threads.
class BatchDatabase {
public:
  explicit BatchDatabase(DatabasePool& pool) : pool_(pool) {}

  // Prepares every statement; throws DatabaseError when the extension lacks one.
  void check();

  StartedRun start(const Caller& caller, const BatchOrder& order);
  BatchView get(const Caller& caller, const std::string& batch_id);
  std::vector<BatchView> list(const Caller& caller, int limit);
  std::vector<BatchResult> results(const Caller& caller, const std::string& batch_id,
                                   const BatchPage& page);
  void cancel(const Caller& caller, const std::string& batch_id,
              const std::optional<std::string>& reason);

private:
  DatabasePool& pool_;
};

} // namespace holdfast::gateway
