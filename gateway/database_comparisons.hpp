// The SQL statements on runs that are compared, and run once more.
#pragma once

#include "gateway/database_runs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::gateway {

// What became of a run's result. The score is decimal text.
struct RunOutcome {
  std::string outcome;
  std::optional<std::string> score;
};

// How the runs fared that drew one variant of a step. Counts and money are decimal text, `outcomes`
// is JSON.
struct VariantResult {
  std::string step;
  std::string variant;
  std::string runs;
  std::string completed;
  std::string failed;
  std::optional<std::string> cost_usd;
  std::optional<std::string> mean_cost_usd;
  std::optional<std::string> mean_latency_ms;
  std::string outcomes;
  std::string scored;
  std::optional<std::string> mean_score;
};

// A run to be run once more: from what is kept (`stored`), or against the providers.
struct ReplayOrder {
  std::string token;
  std::string mode;
  std::optional<std::string> idempotency_key;
  std::optional<std::string> client_ip;
  std::string route;
};

// Throws as Database does. Safe for use by many threads.
class ComparisonDatabase {
public:
  explicit ComparisonDatabase(DatabasePool& pool) : pool_(pool) {}

  // Prepares every statement; throws DatabaseError when the extension lacks one.
  void check() const;

  void record_outcome(const Caller& caller, const std::string& run_id,
                      const RunOutcome& outcome) const;
  std::vector<VariantResult> variants(const Caller& caller, const std::string& workflow_id,
                                      const std::optional<std::string>& step) const;
  StartedRun replay(const Caller& caller, const ReplayOrder& order) const;

private:
  DatabasePool& pool_;
};

} // namespace holdfast::gateway
