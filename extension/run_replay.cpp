// Runs once more what ran before, from the answers that were kept.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

using namespace holdfast;

namespace {

// Nothing is called and nothing is held: a replay costs nothing.
constexpr Oid kCopyTypes[] = {UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement copy_run(
    "INSERT INTO holdfast.workflow_runs (organization_id, run_id, workflow_id, name, version,"
    " definition, input, status, user_id, api_key_id, community_id, tool, intent_workflow_id,"
    " split_key, hold_id, max_cost, created_at, deadline_at, replay_of)"
    " SELECT organization_id, $3, workflow_id, name, version, definition, input, 'running',"
    " user_id, api_key_id, community_id, tool, intent_workflow_id, split_key, $3, 0, $4,"
    " $4 + interval '1 minute', run_id"
    " FROM holdfast.workflow_runs WHERE organization_id = $1 AND run_id = $2",
    kCopyTypes);

constexpr Oid kStepTypes[] = {UUIDOID, UUIDOID, UUIDOID};
pg::Statement copy_steps("INSERT INTO holdfast.workflow_run_steps"
                         " (organization_id, run_id, step_no, step_id, status)"
                         " SELECT organization_id, $3, step_no, step_id, 'pending'"
                         " FROM holdfast.workflow_run_steps"
                         " WHERE organization_id = $1 AND run_id = $2",
                         kStepTypes);

// Ends a step that would call a provider, or wait for a person, as it ended then.
void end_as_then(run::Run& run, std::size_t i, const run::Run& then) {
  const StepState& before = then.state.steps[i];
  StepState& state = run.state.steps[i];
  run.steps[i].changed = true;
  if (state.status == StepStatus::waiting && before.approved) {
    state.approved = true;
    state.status = StepStatus::pending;
  } else if (before.status == StepStatus::completed && !before.variant.empty() &&
             before.variant != state.variant) {
    run::fail(run, i, step_error("no_stored_answer", "It was answered by another variant."));
  } else if (before.status == StepStatus::completed) {
    state.status = StepStatus::completed;
    state.output = before.output;
    run.steps[i].provider = then.steps[i].provider;
    run.steps[i].model = then.steps[i].model;
    run.steps[i].cached = true;
    run.steps[i].latency_ms = 0;
    run::tell(run, "step.completed", run.definition.steps[i].id, R"({"cached": true})");
  } else if (before.status == StepStatus::failed) {
    run::fail(run, i, before.error);
  } else {
    run::fail(run, i, step_error("no_stored_answer", "It was not done then."));
  }
}

void replay(run::Run& run, const run::Run& then, TimestampTz now) {
  run::tell(run, "run.started", std::nullopt,
            JsonObject().text("replayOf", then.run_id.str()).str());
  run::move_on(run, now);
  // Each round ends a step at least.
  for (std::size_t rounds = 0; !run.ended && rounds <= 2 * run.steps.size(); ++rounds) {
    for (std::size_t i = 0; i < run.steps.size(); ++i) {
      const StepStatus status = run.state.steps[i].status;
      if (status == StepStatus::ready || status == StepStatus::waiting) end_as_then(run, i, then);
    }
    run::move_on(run, now);
  }
}

} // namespace

HOLDFAST_FUNCTION(holdfast_replay_stored) {
  const pg::Arguments arguments(fcinfo);
  const Uuid organization_id = arguments.uuid(0, "p_organization_id");
  const Uuid then_id = arguments.uuid(1, "p_run_id");
  organization::require(organization_id);
  const TimestampTz now = GetCurrentTimestamp();
  pg::Spi spi;
  run::Run then;
  run::load(organization_id, then_id, then);
  if (!then.ended)
    throw conflict("Run " + then_id.str() + " has not ended: it is " + then.status + ".")
        .detail(JsonObject().text("runId", then_id.str()).text("status", then.status).str());
  const Uuid run_id = pg::new_uuid();
  copy_run.run(
      pg::Parameters().add(organization_id).add(then_id).add(run_id).add(TimestampTzGetDatum(now)));
  copy_steps.run(pg::Parameters().add(organization_id).add(then_id).add(run_id));
  run::Run run;
  run::load(organization_id, run_id, run);
  run.has_hold = false;
  replay(run, then, now);
  return pg::from_uuid(run_id);
}
