// People and the reaper: cancelling, approving, and what nobody works on any more.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/spi.hpp"
#include "extension/provider_health.hpp"

#include <set>

using namespace holdfast;

namespace {

constexpr int kMostLosses = 5; // of one step's workers, before it is given up
constexpr std::int32_t kMostReaped = 10'000;

// One run a row; what is locked is being worked on.
constexpr Oid kDueTypes[] = {TIMESTAMPTZOID, INT4OID};
pg::Statement find_lapsed("SELECT s.organization_id, s.run_id FROM holdfast.workflow_run_steps s"
                          " JOIN holdfast.workflow_runs r USING (organization_id, run_id)"
                          " WHERE s.status = 'running' AND s.lease_until <= $1"
                          " ORDER BY s.lease_until LIMIT $2 FOR NO KEY UPDATE OF r SKIP LOCKED",
                          kDueTypes);
pg::Statement
    find_unapproved("SELECT s.organization_id, s.run_id FROM holdfast.workflow_run_steps s"
                    " JOIN holdfast.workflow_runs r USING (organization_id, run_id)"
                    " WHERE s.status = 'waiting' AND s.waiting_until <= $1"
                    " ORDER BY s.waiting_until LIMIT $2"
                    " FOR NO KEY UPDATE OF r SKIP LOCKED",
                    kDueTypes);
pg::Statement
    find_overdue("SELECT organization_id, run_id FROM holdfast.workflow_runs"
                 " WHERE deadline_at <= $1 AND deadline_at IS NOT NULL AND ended_at IS NULL"
                 " ORDER BY deadline_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
                 kDueTypes);

constexpr Oid kLostTypes[] = {UUIDOID, UUIDOID, INT2OID, INT8OID, TIMESTAMPTZOID};
pg::Statement
    lose_attempt("UPDATE holdfast.workflow_run_attempts SET outcome = 'lost', ended_at = $5"
                 " WHERE organization_id = $1 AND run_id = $2 AND step_no = $3"
                 " AND fence = $4 AND outcome = 'running'"
                 " RETURNING hold_id, provider, coalesce(trial, 0)",
                 kLostTypes);

// Its worker is gone in the middle of the call. What the call cost nobody knows yet.
void lose(run::Run& run, std::size_t i, TimestampTz now) {
  run::StepRow& step = run.steps[i];
  const pg::Rows lost = lose_attempt.run(pg::Parameters()
                                             .add(run.organization_id())
                                             .add(run.run_id)
                                             .add_int16(static_cast<std::int16_t>(i))
                                             .add_int64(step.fence)
                                             .add(TimestampTzGetDatum(now)));
  if (!lost.empty()) {
    run::abandon(run, lost[0].uuid(1), now);
    if (lost[0].bigint(3) > 0 && provider_health::is_watched())
      provider_health::give_back(lost[0].text(2), lost[0].bigint(3));
  }
  const std::string error = step_error("worker_lost", "The worker of the step is gone.");
  step.losses += 1;
  step.changed = true;
  if (run.ended) {
    run.state.steps[i].status = StepStatus::cancelled;
    step.lease_until.reset();
    run::tell(run, "step.cancelled", run.definition.steps[i].id, error);
  } else if (step.losses < kMostLosses) {
    run::retry(run, i, error, now);
  } else {
    run::fail(run, i, error);
  }
}

std::string timeout_message(const run::Run& run) {
  std::string message = "The run took longer than its timeout.";
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    if (run.state.steps[i].status == StepStatus::ready && run.steps[i].fence == 0)
      return message + " Nobody has taken step \"" + run.definition.steps[i].id +
             "\": no gateway serves its provider, or none had a place for it.";
  }
  return message;
}

// Brings one run up to date; returns how many of its steps, or itself, were overdue.
std::int32_t reap_run(const Uuid& organization_id, const Uuid& run_id, TimestampTz now) {
  run::Run run;
  run::load(organization_id, run_id, run);
  std::int32_t reaped = 0;
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    const run::StepRow& step = run.steps[i];
    const StepStatus status = run.state.steps[i].status;
    if (status == StepStatus::running && step.lease_until && *step.lease_until <= now) {
      lose(run, i, now);
      ++reaped;
    } else if (status == StepStatus::waiting && step.waiting_until && *step.waiting_until <= now) {
      run::fail(run, i, step_error("approval_expired", "Nobody approved the step in time."));
      ++reaped;
    }
  }
  if (!run.ended && run.deadline && *run.deadline <= now) {
    run::end_run(run, "failed", step_error("timeout", timeout_message(run)), now);
    ++reaped;
  }
  if (reaped > 0) run::move_on(run, now);
  return reaped;
}

std::int32_t reap(std::int32_t most, TimestampTz now) {
  std::set<std::pair<Uuid, Uuid>> runs;
  for (pg::Statement* find : {&find_lapsed, &find_unapproved, &find_overdue}) {
    const pg::Rows rows = find->run(pg::Parameters().add(TimestampTzGetDatum(now)).add_int32(most));
    for (std::uint64_t i = 0; i < rows.size(); ++i)
      runs.emplace(rows[i].uuid(1), rows[i].uuid(2));
  }
  std::int32_t reaped = 0;
  for (const auto& [organization_id, run_id] : runs)
    reaped += reap_run(organization_id, run_id, now);
  return reaped;
}

Error has_ended_before(const run::Run& run) {
  return conflict("Run " + run.run_id.str() + " has ended: it is " + run.status + ".")
      .detail(JsonObject().text("runId", run.run_id.str()).text("status", run.status).str());
}

// What was decided, and by whom.
struct Decision {
  Uuid organization_id;
  Uuid run_id;
  std::string step_id;
  bool approved = false;
  std::optional<std::string> actor;
  std::optional<std::string> reason;
};

std::string decide(const Decision& decision, TimestampTz now) {
  run::Run run;
  run::load(decision.organization_id, decision.run_id, run);
  const std::size_t i = run::position_of(run, decision.step_id);
  StepState& state = run.state.steps[i];
  if (run.ended) throw has_ended_before(run);
  if (state.status != StepStatus::waiting)
    throw conflict("Step \"" + decision.step_id + "\" waits for no approval: it is " +
                   status_name(state.status) + ".")
        .detail(JsonObject()
                    .text("runId", run.run_id.str())
                    .text("step", decision.step_id)
                    .text("status", status_name(state.status))
                    .str());
  const std::string detail = JsonObject()
                                 .text("actor", decision.actor.value_or(""))
                                 .text("reason", decision.reason.value_or(""))
                                 .str();
  run::tell(run, decision.approved ? "step.approved" : "step.refused", decision.step_id, detail);
  run.steps[i].changed = true;
  if (decision.approved) {
    state.approved = true;
    state.status = StepStatus::pending;
  } else {
    run::fail(run, i,
              step_error("approval_refused", decision.reason.value_or("The step was refused.")));
  }
  run::move_on(run, now);
  return run.status;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_cancel_run) {
  const pg::Arguments arguments(fcinfo);
  const Uuid run_id = arguments.uuid(0, "p_run_id");
  const Uuid organization_id = arguments.uuid(1, "p_organization_id");
  const std::optional<std::string> reason = arguments.optional_text(2, "p_reason");
  organization::require(organization_id);
  run::Run run;
  {
    pg::Spi spi;
    const TimestampTz now = GetCurrentTimestamp();
    run::load(organization_id, run_id, run);
    if (run.ended && run.status != "cancelled") throw has_ended_before(run);
    if (!run.ended) {
      run::end_run(run, "cancelled",
                   step_error("cancelled", reason.value_or("The run was cancelled.")), now);
      run::store(run, now);
    }
  }
  return pg::ResultRow().text(run.status).add(run.total_cost).finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_approve_step) {
  const pg::Arguments arguments(fcinfo);
  Decision decision;
  decision.run_id = arguments.uuid(0, "p_run_id");
  decision.organization_id = arguments.uuid(1, "p_organization_id");
  decision.step_id = arguments.text(2, "p_step_id");
  decision.approved = arguments.boolean(3, "p_approved");
  decision.actor = arguments.optional_text(4, "p_actor");
  decision.reason = arguments.optional_text(5, "p_reason");
  organization::require(decision.organization_id);
  organization::require_admin(arguments.optional_text(6, "p_role"), "A step");
  std::string status;
  {
    pg::Spi spi;
    status = decide(decision, GetCurrentTimestamp());
  }
  return pg::from_text(status);
}

HOLDFAST_FUNCTION(holdfast_reap_run_steps) {
  const pg::Arguments arguments(fcinfo);
  const std::int32_t most = arguments.integer(0, "p_most");
  if (most < 1 || most > kMostReaped)
    throw bad_value("p_most is " + std::to_string(most) + ", outside 1 to 10000.");
  pg::Spi spi;
  return Int32GetDatum(reap(most, GetCurrentTimestamp()));
}
