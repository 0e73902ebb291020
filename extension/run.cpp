// A run under its lock: read, moved on, stored.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/pg/notify.hpp"
#include "extension/pg/spi.hpp"
#include "extension/run_route.hpp"

#include <algorithm>

namespace holdfast::run {

namespace {

// How long a step waits for its approval.
constexpr std::int64_t kApprovalUs = 24 * USECS_PER_HOUR;

constexpr Oid kIdTypes[] = {UUIDOID, UUIDOID};
pg::Statement lock_run(
    "SELECT status, definition::text, input::text, user_id, api_key_id, community_id, tool,"
    " intent_workflow_id, hold_id, max_cost, drawn, total_cost, split_key, last_event, deadline_at,"
    " time_left_ms, ended_at IS NOT NULL, coalesce(error::text, ''), replay_token, batch_id,"
    " rest_is_due"
    " FROM holdfast.workflow_runs WHERE organization_id = $1 AND run_id = $2 FOR NO KEY UPDATE",
    kIdTypes);
pg::Statement find_steps(
    "SELECT status, approved, coalesce(variant, ''), coalesce(output, ''),"
    " coalesce(error::text, ''), fence, failures, losses, provider, model, ready_at, lease_until,"
    " waiting_until, worker, cost, prompt_tokens, completion_tokens, latency_ms, cached,"
    " request_digest, providers, given_up, fallback_used, misfit"
    " FROM holdfast.workflow_run_steps WHERE organization_id = $1 AND run_id = $2 ORDER BY step_no",
    kIdTypes);

constexpr Oid kStepTypes[] = {UUIDOID,        UUIDOID, INT2OID,    TEXTOID,        BOOLOID,
                              TEXTOID,        TEXTOID, TEXTOID,    INT8OID,        INT4OID,
                              INT4OID,        TEXTOID, TEXTOID,    TIMESTAMPTZOID, TIMESTAMPTZOID,
                              TIMESTAMPTZOID, TEXTOID, NUMERICOID, INT8OID,        INT8OID,
                              INT8OID,        BOOLOID, BYTEAOID,   TIMESTAMPTZOID, TEXTARRAYOID,
                              TEXTARRAYOID,   BOOLOID, TEXTOID};
pg::Statement store_step(
    "UPDATE holdfast.workflow_run_steps SET status = $4, approved = $5, variant = nullif($6, ''),"
    " output = CASE WHEN $4 = 'completed' THEN $7 END,"
    " error = nullif($8, '')::jsonb, fence = $9, failures = $10::smallint, losses = $11::smallint,"
    " provider = $12, model = $13, ready_at = $14, lease_until = $15, waiting_until = $16,"
    " worker = $17, cost = $18, prompt_tokens = $19, completion_tokens = $20, latency_ms = $21,"
    " cached = $22, request_digest = $23, providers = $25, given_up = $26, fallback_used = $27,"
    " misfit = $28,"
    " started_at = coalesce(started_at, CASE WHEN $4 IN ('running', 'completed', 'failed') THEN "
    "$24 END),"
    " ended_at = CASE WHEN $4 IN ('completed', 'failed', 'skipped', 'unreached', 'cancelled')"
    "            THEN coalesce(ended_at, $24) END"
    " WHERE organization_id = $1 AND run_id = $2 AND step_no = $3",
    kStepTypes);

constexpr Oid kRunTypes[] = {UUIDOID, UUIDOID,        TEXTOID, NUMERICOID,     NUMERICOID, INT8OID,
                             TEXTOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, BOOLOID,    BOOLOID};
pg::Statement store_run("UPDATE holdfast.workflow_runs SET status = $3, drawn = $4,"
                        " total_cost = $5, last_event = $6, error = nullif($7, '')::jsonb,"
                        " deadline_at = $8, time_left_ms = $9, rest_is_due = $12,"
                        " ended_at = CASE WHEN $11 THEN coalesce(ended_at, $10) END"
                        " WHERE organization_id = $1 AND run_id = $2",
                        kRunTypes);

constexpr Oid kEventTypes[] = {UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID};
pg::Statement insert_event("INSERT INTO holdfast.workflow_run_events"
                           " (organization_id, run_id, event_no, at, event, step_id, detail)"
                           " VALUES ($1, $2, $3, clock_timestamp(), $4, $5, $6::jsonb)",
                           kEventTypes);

std::optional<TimestampTz> time_of(const pg::Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return DatumGetTimestampTz(row.datum(column));
}

pg::Parameters& add_time(pg::Parameters& parameters, const std::optional<TimestampTz>& time) {
  return time ? parameters.add(TimestampTzGetDatum(*time)) : parameters.null();
}

void read_run(const pg::Row& row, Run& run) {
  run.status = row.text(1);
  run.definition = parse_definition(row.text(2), no_limits());
  run.state.definition = &run.definition;
  run.state.input = JsonValue::parse(row.text(3)).value_or(JsonValue());
  run.subject.user_id = row.optional_text(4);
  run.subject.api_key_id = row.optional_uuid(5);
  run.subject.community_id = row.optional_uuid(6);
  run.subject.tool = row.optional_text(7);
  run.subject.workflow_id = row.optional_uuid(8);
  run.hold_id = row.uuid(9);
  run.max_cost = row.usd(10);
  run.has_hold = !run.max_cost.is_zero();
  run.drawn = row.usd(11);
  run.total_cost = row.usd(12);
  run.split_key = row.text(13);
  run.last_event = row.bigint(14);
  run.deadline = time_of(row, 15);
  if (!row.is_null(16)) run.time_left_ms = row.bigint(16);
  run.ended = row.boolean(17);
  run.error = row.text(18);
  run.replay_token = row.uuid(19);
  run.batch_id = row.optional_uuid(20);
  run.rest_is_due = row.boolean(21);
}

void read_step(const pg::Row& row, Run& run) {
  StepState state;
  state.status = parse_step_status(row.text(1));
  state.approved = row.boolean(2);
  state.variant = row.text(3);
  state.output = row.text(4);
  state.error = row.text(5);
  StepRow step;
  step.fence = row.bigint(6);
  step.failures = row.smallint(7);
  step.losses = row.smallint(8);
  step.provider = row.optional_text(9);
  step.model = row.optional_text(10);
  step.ready_at = time_of(row, 11);
  step.lease_until = time_of(row, 12);
  step.waiting_until = time_of(row, 13);
  step.worker = row.optional_text(14);
  step.cost = row.usd(15);
  step.tokens.prompt = row.bigint(16);
  step.tokens.completion = row.bigint(17);
  if (!row.is_null(18)) step.latency_ms = row.bigint(18);
  step.cached = row.boolean(19);
  if (!row.is_null(20)) step.digest = pg::to_bytes(row.datum(20));
  if (!row.is_null(21)) step.providers = pg::to_texts(row.datum(21));
  step.given_up = pg::to_texts(row.datum(22));
  step.fallback_used = row.boolean(23);
  step.misfit = row.optional_text(24);
  run.state.steps.push_back(std::move(state));
  run.steps.push_back(std::move(step));
}

void store_one(const Run& run, std::size_t i, TimestampTz now) {
  const StepState& state = run.state.steps[i];
  const StepRow& step = run.steps[i];
  pg::Parameters parameters;
  parameters.add(run.organization_id())
      .add(run.run_id)
      .add_int16(static_cast<std::int16_t>(i))
      .text(status_name(state.status))
      .add_bool(state.approved)
      .text(state.variant)
      .text(state.output)
      .text(state.error)
      .add_int64(step.fence)
      .add_int32(step.failures)
      .add_int32(step.losses)
      .text(step.provider)
      .text(step.model);
  add_time(parameters, step.ready_at);
  add_time(parameters, step.lease_until);
  add_time(parameters, step.waiting_until);
  parameters.text(step.worker)
      .add(step.cost)
      .add_int64(step.tokens.prompt)
      .add_int64(step.tokens.completion);
  if (step.latency_ms)
    parameters.add_int64(*step.latency_ms);
  else
    parameters.null();
  parameters.add_bool(step.cached);
  if (step.digest)
    parameters.add(pg::from_bytes(*step.digest));
  else
    parameters.null();
  parameters.add(TimestampTzGetDatum(now));
  if (step.providers)
    parameters.add(pg::from_texts(*step.providers));
  else
    parameters.null();
  parameters.add(pg::from_texts(step.given_up)).add_bool(step.fallback_used).text(step.misfit);
  store_step.run(parameters);
}

// What a step's new status means for the rest of its row, and the event that tells it.
void enter(Run& run, std::size_t i, TimestampTz now) {
  StepState& state = run.state.steps[i];
  StepRow& step = run.steps[i];
  const RunStep& rule = run.definition.steps[i];
  step.changed = true;
  step.lease_until.reset();
  step.waiting_until.reset();
  std::string detail = "{}";
  if (state.status == StepStatus::ready) {
    step.ready_at = now;
    if (state.variant.empty()) state.variant = draw_variant(run.definition, rule, run.split_key);
    step.provider = asked_of(run, i).provider;
    step.providers = providers_of(run, i);
  } else if (state.status == StepStatus::waiting) {
    step.waiting_until = now + kApprovalUs;
  } else if (!state.error.empty()) {
    detail = state.error;
  }
  tell(run, (std::string("step.") + status_name(state.status)).c_str(), rule.id, detail);
}

bool has_step(const Run& run, StepStatus status) {
  return std::any_of(run.state.steps.begin(), run.state.steps.end(),
                     [&](const StepState& state) { return state.status == status; });
}

// While nothing but an approval is waited for, a run's time stands still.
void set_clock(Run& run, TimestampTz now) {
  const bool waits = has_step(run, StepStatus::waiting) && !has_step(run, StepStatus::ready) &&
                     !has_step(run, StepStatus::running);
  run.status = waits ? "waiting" : "running";
  if (waits && run.deadline) {
    run.time_left_ms = std::max<std::int64_t>(1, (*run.deadline - now) / 1000);
    run.deadline.reset();
  } else if (!waits && run.time_left_ms) {
    run.deadline = now + *run.time_left_ms * 1000;
    run.time_left_ms.reset();
  }
}

} // namespace

RunLimits no_limits() {
  constexpr int kMost = 1'000'000'000;
  return {kMost, Usd::most_given(), INT64_MAX / 1'000'000, kMost, kMost, true};
}

void load(const Uuid& organization_id, const Uuid& run_id, Run& run) {
  const pg::Rows rows = lock_run.run(pg::Parameters().add(organization_id).add(run_id));
  if (rows.empty())
    throw not_found("The organization has no run " + run_id.str() + ".")
        .detail(JsonObject().text("runId", run_id.str()).str());
  run.subject.organization_id = organization_id;
  run.run_id = run_id;
  read_run(rows[0], run);
  bind_workflow(run);
  const pg::Rows steps = find_steps.run(pg::Parameters().add(organization_id).add(run_id));
  for (std::uint64_t i = 0; i < steps.size(); ++i)
    read_step(steps[i], run);
  if (run.steps.size() != run.definition.steps.size())
    throw Error("XX000", "a run has not the steps of its definition");
}

std::size_t position_of(const Run& run, const std::string& step_id) {
  for (std::size_t i = 0; i < run.definition.steps.size(); ++i) {
    if (run.definition.steps[i].id == step_id) return i;
  }
  throw not_found("The run has no step \"" + step_id + "\".")
      .detail(JsonObject().text("runId", run.run_id.str()).text("step", step_id).str());
}

void tell(Run& run, const char* event, const std::optional<std::string>& step_id,
          const std::string& detail) {
  insert_event.run(pg::Parameters()
                       .add(run.organization_id())
                       .add(run.run_id)
                       .add_int64(++run.last_event)
                       .text(event)
                       .text(step_id)
                       .text(detail));
  // That it could begin, and did, is told by how it ended.
  if (event == std::string_view("step.ready") || event == std::string_view("step.started")) return;
  audit::Entry entry = audit_entry(run, event, step_id);
  entry.detail = detail;
  audit::record(entry);
}

audit::Entry audit_entry(const Run& run, const char* event,
                         const std::optional<std::string>& step_id) {
  audit::Entry entry;
  entry.organization_id = run.organization_id();
  entry.event = event;
  entry.run_id = run.run_id;
  entry.step_id = step_id;
  entry.run_group = run.batch_id;
  entry.replay_token = run.replay_token;
  entry.workflow_id = run.subject.workflow_id;
  entry.user_id = run.subject.user_id;
  entry.api_key_id = run.subject.api_key_id;
  return entry;
}

void move_on(Run& run, TimestampTz now) {
  if (!run.ended) {
    std::vector<StepStatus> before;
    for (const StepState& state : run.state.steps)
      before.push_back(state.status);
    const RunVerdict verdict = advance(run.state);
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (run.state.steps[i].status != before[i]) enter(run, i, now);
    }
    if (verdict.has_ended)
      end_run(run, verdict.error.empty() ? "completed" : "failed", verdict.error, now);
    else
      set_clock(run, now);
  }
  store(run, now);
}

void end_run(Run& run, const char* status, const std::string& error, TimestampTz now) {
  release_rest(run, now);
  run.ended = true;
  run.status = status;
  run.error = error;
  run.deadline.reset();
  run.time_left_ms.reset();
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    StepState& state = run.state.steps[i];
    if (has_ended(state.status) || state.status == StepStatus::running) continue;
    state.status = StepStatus::cancelled;
    enter(run, i, now);
  }
  tell(run, (std::string("run.") + status).c_str(), std::nullopt, error.empty() ? "{}" : error);
  move_workflow(run, now);
}

void store(Run& run, TimestampTz now) {
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    if (run.steps[i].changed) store_one(run, i, now);
    run.steps[i].changed = false;
  }
  pg::Parameters parameters;
  parameters.add(run.organization_id())
      .add(run.run_id)
      .text(run.status)
      .add(run.drawn)
      .add(run.total_cost)
      .add_int64(run.last_event)
      .text(run.error);
  add_time(parameters, run.deadline);
  if (run.time_left_ms)
    parameters.add_int64(*run.time_left_ms);
  else
    parameters.null();
  parameters.add(TimestampTzGetDatum(now)).add_bool(run.ended).add_bool(run.rest_is_due);
  store_run.run(parameters);
  pg::notify("holdfast_runs", run.run_id.str());
  // The end of one makes room for the next of its batch.
  const bool wakes = run.ended ? run.batch_id.has_value() : has_step(run, StepStatus::ready);
  if (wakes) pg::notify("holdfast_steps", "");
  if (run.batch_id) pg::notify("holdfast_runs", run.batch_id->str());
}

void fail(Run& run, std::size_t i, const std::string& error) {
  run.state.steps[i].status = StepStatus::failed;
  run.state.steps[i].error = error;
  run.steps[i].changed = true;
  run.steps[i].lease_until.reset();
  run.steps[i].waiting_until.reset();
  tell(run, "step.failed", run.definition.steps[i].id, error);
}

void retry(Run& run, std::size_t i, const std::string& error, TimestampTz again) {
  run.state.steps[i].status = StepStatus::ready;
  run.state.steps[i].error = error;
  run.steps[i].changed = true;
  run.steps[i].lease_until.reset();
  run.steps[i].ready_at = again;
  tell(run, "step.retried", run.definition.steps[i].id, error);
}

void hand_on(Run& run, std::size_t i, const std::string& error, TimestampTz now) {
  StepRow& step = run.steps[i];
  step.given_up.push_back(*step.provider + '/' + *step.model);
  step.providers = providers_of(run, i);
  step.failures = 0;
  step.changed = true;
  step.lease_until.reset();
  step.ready_at = now;
  run.state.steps[i].status = StepStatus::ready;
  run.state.steps[i].error = error;
  tell(run, "step.handed_on", run.definition.steps[i].id, error);
}

void delay(Run& run, std::size_t i, const std::string& error, TimestampTz until) {
  if (run.state.steps[i].error != error)
    tell(run, "step.delayed", run.definition.steps[i].id, error);
  run.state.steps[i].error = error;
  run.steps[i].changed = true;
  run.steps[i].ready_at = until;
}

} // namespace holdfast::run
