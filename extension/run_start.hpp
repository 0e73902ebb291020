#pragma once

#include "extension/pg/arguments.hpp"
#include "extension/rate_limit.hpp"
#include "extension/run.hpp"

// How runs begin, alone or in a batch.
namespace holdfast::run {

// A run's hold outlives its time by so much that what it began can be settled under it.
constexpr std::int64_t kGraceUs = 10 * USECS_PER_MINUTE;
constexpr std::int64_t kApprovalUs = 24 * USECS_PER_HOUR;
constexpr std::size_t kMostInputBytes = 256 * 1024;

// A run that is to begin, and what it is asked for.
struct Start {
  Run run;
  std::optional<Uuid> run_id; // of the step of a workflow that it does
  std::optional<Uuid> workflow_id;
  std::optional<std::string> name;
  std::string asked;      // what names the definition
  std::string definition; // as JSON
  std::string input;      // as JSON
  std::optional<std::string> key;
  std::optional<Datum> ip;
  std::optional<std::string> route;
};

// Finds a saved definition, unless one is given. Throws Error PT404.
void find_definition_of(Start& start);

// Counts a start, or the repeat of one, on the rate limits. Not preloaded, there are none.
rate_limit::Decision count(const Start& start, bool is_repeat);

// Stores a run and its steps; false when its key is taken.
bool insert(const Start& start, TimestampTz now);
void begin_steps(Run& run);

// Columns of a result: who of the budgets refused, and how the rate limits stand.
void add_refusal(pg::ResultRow& row, const std::optional<budget::Figures>& refused);
void add_rate(pg::ResultRow& row, const rate_limit::Decision& rate);

} // namespace holdfast::run
