#pragma once

#include "extension/audit.hpp"
#include "extension/budget.hpp"
#include "extension/core/run_plan.hpp"
#include "extension/ledger.hpp"

// Durable runs of definitions. Every change of a run is made under its row's lock, which is taken
// before any lock of money. Everything here needs a pg::Spi.
namespace holdfast::run {

// Registers the operator's limits.
void start();

// The operator's limits as they are now, and none, for what was checked against them before.
RunLimits limits();
RunLimits no_limits();

// What workers that deliver documents name among the providers that they serve.
constexpr const char* kWebhook = "webhook";

// What is kept of a step beside its state.
struct StepRow {
  Usd cost;
  std::int64_t fence = 0;
  int failures = 0;
  int losses = 0;
  bool fallback_used = false; // by its newest attempt
  bool cached = false;
  bool changed = false;
  std::optional<std::string> provider; // asked for, or of the attempt
  std::optional<std::string> model;
  std::optional<std::vector<std::string>> providers; // who may serve it next; nullopt: any
  std::vector<std::string> given_up;                 // "provider/model" that failed it
  std::optional<TimestampTz> ready_at;
  std::optional<TimestampTz> lease_until;
  std::optional<TimestampTz> waiting_until;
  std::optional<std::string> worker;
  Tokens tokens;
  std::optional<std::int64_t> latency_ms;
  std::optional<std::string> digest; // of the request, where answers are kept
  std::optional<std::string> misfit; // what did not fit the schema in an answer before
};

// The step of a workflow that a run does.
struct WorkflowStep {
  std::string name;
  std::vector<std::string> path; // of states: the one it is worked on in, and those after it
  std::int64_t fence = 0;
  std::optional<std::string> actor;
  std::optional<std::string> correlation_id;
  std::string graph;
};

// A run under its lock.
struct Run {
  budget::Subject subject; // whose budgets its calls count against
  Uuid run_id;
  std::optional<Uuid> replay_token;
  std::string status;
  RunDefinition definition;
  RunState state;
  std::vector<StepRow> steps;
  Uuid hold_id;
  Usd max_cost;
  Usd drawn;
  Usd total_cost;
  std::string split_key;
  std::int64_t last_event = 0;
  std::optional<TimestampTz> deadline;
  std::optional<std::int64_t> time_left_ms;
  std::string error;
  bool ended = false;
  bool has_hold = true;
  std::optional<WorkflowStep> workflow_step;
  std::optional<Uuid> batch_id; // whose hold the run's is a part of
  std::int32_t batch_no = 0;
  bool rest_is_due = false;

  const Uuid& organization_id() const { return subject.organization_id; }
};

// Locks a run and reads it into `run`, which must stay where it is. Throws Error PT404.
void load(const Uuid& organization_id, const Uuid& run_id, Run& run);

// The position of a step. Throws Error PT404.
std::size_t position_of(const Run& run, const std::string& step_id);

// A row of the audit log about the run, or about one of its steps.
audit::Entry audit_entry(const Run& run, const char* event,
                         const std::optional<std::string>& step_id);

// Records an event, also in the audit log. `detail` is a JSON object.
void tell(Run& run, const char* event, const std::optional<std::string>& step_id,
          const std::string& detail = "{}");

// Goes on as far as it goes without a provider, ends the run when that is its end, and stores all.
void move_on(Run& run, TimestampTz now);

// Ends the run: what has not begun never will, its hold is given back. Stored by store().
void end_run(Run& run, const char* status, const std::string& error, TimestampTz now);
void store(Run& run, TimestampTz now);

// A step failed for good, or is to be tried again at `again`, or at another provider than the one
// that has failed it.
void fail(Run& run, std::size_t step, const std::string& error);
void retry(Run& run, std::size_t step, const std::string& error, TimestampTz again);
void hand_on(Run& run, std::size_t step, const std::string& error, TimestampTz now);

// A ready step has to wait for a provider. Told once for as long as the error is the same.
void delay(Run& run, std::size_t step, const std::string& error, TimestampTz until);

// Finds the step of a workflow that the run does, and keeps that workflow as it is.
void bind_workflow(Run& run);
// Moves the workflow on, or to its failed state, as the run has ended.
void move_workflow(Run& run, TimestampTz now);

// --- what a step draws on the run's hold --------------------------------------------------------

struct Draw {
  std::optional<Uuid> hold_id; // of the attempt; absent: refused
  budget::Figures figures;     // of who refused; scope "run" is the run's own limit
};
// Divides `amount` off the run's hold for one attempt, and holds it on further budgets that apply
// to its provider. A refusal is recorded (budget_denials).
Draw draw(Run& run, const std::string& provider, const std::string& model, Usd amount,
          TimestampTz now);

// Settles an attempt; what is left of its hold goes back to the run's.
ledger::Entry settle(Run& run, const ledger::Charge& charge, TimestampTz now);

// The attempt cost nothing: its hold goes back to the run's.
void give_back(Run& run, const Uuid& hold_id, TimestampTz now);

// Nobody knows what the attempt cost: its hold ends and shows in unresolved_calls.
void abandon(Run& run, const Uuid& hold_id, TimestampTz now);

// Ends the run's own hold; of a batch, when the batch takes it back.
void release_rest(Run& run, TimestampTz now);

} // namespace holdfast::run
