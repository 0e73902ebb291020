// Begins runs.
#include "extension/run_start.hpp"

#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::run {

namespace {

constexpr Oid kFindTypes[] = {UUIDOID, UUIDOID, TEXTOID};
pg::Statement
    find_definition("SELECT definition::text, workflow_id FROM holdfast.ai_workflows"
                    " WHERE organization_id = $1 AND (workflow_id = $2 OR $2 IS NULL AND name = $3)"
                    " ORDER BY created_at DESC, workflow_id DESC LIMIT 1",
                    kFindTypes);

constexpr Oid kRepeatedTypes[] = {UUIDOID, TEXTOID, TEXTOID};
pg::Statement find_repeated("SELECT run_id, status, fingerprint = sha256(convert_to($3, 'UTF8')) "
                            "FROM holdfast.workflow_runs"
                            " WHERE organization_id = $1 AND idempotency_key = $2",
                            kRepeatedTypes);

constexpr Oid kInsertTypes[] = {
    UUIDOID, UUIDOID, UUIDOID,    TEXTOID,        TEXTOID,        TEXTOID, TEXTOID,
    TEXTOID, UUIDOID, UUIDOID,    TEXTOID,        UUIDOID,        TEXTOID, TEXTOID,
    TEXTOID, UUIDOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, INT4OID};
pg::Statement insert_run(
    "INSERT INTO holdfast.workflow_runs (organization_id, run_id, workflow_id, name, version,"
    " definition, input, status, user_id, api_key_id, community_id, tool, intent_workflow_id,"
    " split_key, idempotency_key, fingerprint, hold_id, max_cost, created_at, deadline_at,"
    " batch_id, batch_no)"
    " VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, 'running', $8, $9, $10, $11, $12, $13, $14,"
    " CASE WHEN $14 IS NOT NULL THEN sha256(convert_to($15, 'UTF8')) END, $16, $17, $18, $19,"
    " $20, nullif($21, 0))"
    " ON CONFLICT DO NOTHING",
    kInsertTypes);

constexpr Oid kForgetTypes[] = {UUIDOID, UUIDOID};
pg::Statement forget_key("UPDATE holdfast.workflow_runs SET idempotency_key = NULL"
                         " WHERE organization_id = $1 AND run_id = $2",
                         kForgetTypes);

constexpr Oid kStepTypes[] = {UUIDOID, UUIDOID, INT2OID, TEXTOID};
pg::Statement insert_step("INSERT INTO holdfast.workflow_run_steps"
                          " (organization_id, run_id, step_no, step_id, status)"
                          " VALUES ($1, $2, $3, $4, 'pending')",
                          kStepTypes);

struct Started {
  Uuid run_id;
  std::string status;
  bool duplicate = false;
  bool limited = false;
  std::optional<budget::Figures> refused;
  rate_limit::Decision rate;
};

Start read_start(const pg::Arguments& arguments) {
  Start request;
  budget::Subject& subject = request.run.subject;
  subject.organization_id = arguments.uuid(0, "p_organization_id");
  request.workflow_id = arguments.optional_uuid(1);
  request.name = arguments.optional_text(2, "p_name");
  if (!arguments.is_null(3))
    request.definition =
        pg::json_object_text(arguments.required(3, "p_definition"), "p_definition");
  request.asked = request.workflow_id ? request.workflow_id->str() : request.name.value_or("");
  if (!request.definition.empty()) {
    request.asked = request.definition;
    request.workflow_id.reset();
  }
  request.input = pg::json_object_text(arguments.required(4, "p_input"), "p_input");
  if (request.input.size() > kMostInputBytes)
    throw bad_value("p_input is longer than 256 KB.")
        .detail(JsonObject().text("field", "p_input").str());
  subject.user_id = arguments.optional_text(5, "p_user_id");
  request.key = arguments.optional_text(6, "p_idempotency_key");
  subject.api_key_id = arguments.optional_uuid(7);
  subject.workflow_id = arguments.optional_uuid(8);
  subject.community_id = arguments.optional_uuid(9);
  subject.tool = arguments.optional_text(10, "p_tool");
  request.run.split_key = arguments.optional_text(11, "p_split_key").value_or("");
  return request;
}

// What a repeat under the same key has to be the same in.
std::string fingerprint(const Start& request) {
  return request.asked + '\n' + request.input + '\n' + request.run.subject.user_id.value_or("");
}

std::optional<Started> repeated(const Start& request) {
  if (!request.key) return std::nullopt;
  const pg::Rows rows = find_repeated.run(pg::Parameters()
                                              .add(request.run.organization_id())
                                              .text(request.key)
                                              .text(fingerprint(request)));
  if (rows.empty()) return std::nullopt;
  if (!rows[0].boolean(3))
    throw conflict("The idempotency key was used before with another run.")
        .detail(JsonObject().text("idempotencyKey", *request.key).str())
        .hint("Repeat the request unchanged, or use a new key.");
  Started earlier;
  earlier.run_id = rows[0].uuid(1);
  earlier.status = rows[0].text(2);
  earlier.duplicate = true;
  return earlier;
}

} // namespace

void find_definition_of(Start& request) {
  if (!request.definition.empty()) return;
  if (!request.workflow_id && !request.name)
    throw bad_value("There is nothing to run.")
        .detail(JsonObject().text("field", "p_workflow_id").str())
        .hint("Give p_workflow_id, p_name or p_definition.");
  const pg::Rows rows = find_definition.run(pg::Parameters()
                                                .add(request.run.organization_id())
                                                .add(request.workflow_id)
                                                .text(request.name));
  if (rows.empty()) {
    const std::string sought = request.workflow_id ? request.workflow_id->str() : *request.name;
    throw not_found("The organization has no workflow definition " + sought + ".")
        .detail(JsonObject().text("workflow", sought).str())
        .hint("Save one with holdfast.save_workflow_definition().");
  }
  request.definition = rows[0].text(1);
  request.workflow_id = rows[0].uuid(2);
}

rate_limit::Decision count(const Start& start, bool is_repeat) {
  if (!rate_limit::is_on()) return {};
  const budget::Subject& subject = start.run.subject;
  rate_limit::Request request;
  request.organization_id = subject.organization_id;
  request.user_id = subject.user_id;
  request.ip = start.ip;
  request.api_key_id = subject.api_key_id;
  if (subject.api_key_id) {
    const organization::Key key =
        organization::key_of(subject.organization_id, *subject.api_key_id);
    request.key_requests = key.requests_per_minute;
    request.key_tokens = key.tokens_per_minute;
  }
  request.route = start.route;
  request.workflow_id = subject.workflow_id;
  request.starts_run = !is_repeat;
  return rate_limit::decide(request);
}

bool insert(const Start& request, TimestampTz now) {
  const Run& run = request.run;
  return insert_run
             .run(pg::Parameters()
                      .add(run.organization_id())
                      .add(run.run_id)
                      .add(request.workflow_id)
                      .text(run.definition.name)
                      .text(run.definition.version)
                      .text(request.definition)
                      .text(request.input)
                      .text(run.subject.user_id)
                      .add(run.subject.api_key_id)
                      .add(run.subject.community_id)
                      .text(run.subject.tool)
                      .add(run.subject.workflow_id)
                      .text(run.split_key)
                      .text(request.key)
                      .text(fingerprint(request))
                      .add(run.hold_id)
                      .add(run.max_cost)
                      .add(TimestampTzGetDatum(now))
                      .add(TimestampTzGetDatum(*run.deadline))
                      .add(run.batch_id)
                      .add_int32(run.batch_no))
             .size() == 1;
}

void begin_steps(Run& run) {
  for (std::size_t i = 0; i < run.definition.steps.size(); ++i) {
    insert_step.run(pg::Parameters()
                        .add(run.organization_id())
                        .add(run.run_id)
                        .add_int16(static_cast<std::int16_t>(i))
                        .text(run.definition.steps[i].id));
    run.state.steps.emplace_back();
    run.steps.emplace_back();
  }
}

namespace {

budget::HoldResult take_hold(const Run& run, TimestampTz now) {
  if (run.max_cost.is_zero()) { // nothing to ask any budget for
    budget::HoldResult none;
    none.reservation.granted = true;
    return none;
  }
  budget::HoldRequest hold;
  hold.subject = run.subject;
  hold.idempotency_key = run.run_id;
  hold.amount = run.max_cost;
  hold.expires_at = *run.deadline + kGraceUs + run.definition.approvals() * kApprovalUs;
  return budget::take_hold(hold, now);
}

// Another that came before under the same key: a request like any other, but no start.
Started repeat(const Start& request, Started earlier) {
  earlier.rate = count(request, true);
  earlier.limited = !earlier.rate.allowed;
  return earlier;
}

// Refused by a budget: on record as a run that failed.
void refuse(Run& run, const budget::Figures& figures, TimestampTz now) {
  run.has_hold = false;
  forget_key.run(pg::Parameters().add(run.organization_id()).add(run.run_id)); // nothing to repeat
  end_run(run, "failed",
          step_error("budget_exceeded", "The budget of scope " + figures.scope +
                                            " does not hold what the run can cost."),
          now);
  store(run, now);
}

Started begin(Start& request, TimestampTz now) {
  find_definition_of(request);
  Run& run = request.run;
  budget::pin_budgets(run.organization_id());
  if (std::optional<Started> earlier = repeated(request))
    return repeat(request, std::move(*earlier));
  RunLimits most = limits();
  most.delivers = request.run_id.has_value(); // of definitions, the built-in ones of intent alone
  run.definition = parse_definition(request.definition, most);
  run.state.definition = &run.definition;
  run.state.input = JsonValue::parse(request.input).value_or(JsonValue());
  check_input(run.definition, run.state.input);
  Started started;
  run.run_id = request.run_id ? *request.run_id : pg::new_uuid();
  if (request.run_id) {
    bind_workflow(run);
  } else {
    started.rate = count(request, false);
    started.limited = !started.rate.allowed;
    if (started.limited) return started;
  }
  run.hold_id = run.run_id;
  run.max_cost = run.definition.most_cost;
  run.has_hold = !run.max_cost.is_zero();
  run.deadline = now + run.definition.timeout_ms * 1000;
  if (run.split_key.empty()) run.split_key = run.subject.user_id.value_or(run.run_id.str());
  // The key is claimed first: another session that claims it waits, and nobody holds for nothing.
  if (!insert(request, now)) return repeated(request).value();
  const budget::HoldResult hold = take_hold(run, now);
  begin_steps(run);
  tell(run, "run.started", std::nullopt,
       JsonObject()
           .text("name", run.definition.name)
           .number("maxCostUSD", run.max_cost.str())
           .str());
  if (hold.reservation.granted) {
    move_on(run, now);
  } else {
    refuse(run, hold.reservation.figures, now);
    started.refused = hold.reservation.figures;
  }
  started.run_id = run.run_id;
  started.status = run.status;
  return started;
}

} // namespace

void add_rate(pg::ResultRow& row, const rate_limit::Decision& rate) {
  if (rate.layer)
    row.text(name_of(*rate.layer))
        .add(Int64GetDatum(rate.limit))
        .add(Int64GetDatum(rate.remaining))
        .add_int32(rate.reset_ms);
  else
    row.null().null().null().null();
  if (rate.allowed)
    row.null();
  else
    row.add_int32(rate.retry_after_ms);
}

void add_refusal(pg::ResultRow& row, const std::optional<budget::Figures>& refused) {
  row.text(refused ? std::optional(refused->scope) : std::nullopt);
  row.add(refused ? refused->limit : std::nullopt);
  row.add(refused ? std::optional(refused->spent) : std::nullopt);
  row.add(refused ? std::optional(refused->held) : std::nullopt);
}

} // namespace holdfast::run

using namespace holdfast;

namespace {

run::Started begin(run::Start& request) {
  organization::require(request.run.organization_id());
  pg::Spi spi;
  return run::begin(request, GetCurrentTimestamp());
}

} // namespace

HOLDFAST_FUNCTION(holdfast_start_run) {
  const pg::Arguments arguments(fcinfo);
  run::Start request = run::read_start(arguments);
  if (!arguments.is_null(12)) request.ip = arguments.required(12, "p_ip");
  request.route = arguments.optional_text(13, "p_route");
  const run::Started started = begin(request);
  pg::ResultRow row;
  if (started.limited)
    row.null().text("limited");
  else
    row.add(started.run_id).text(started.status);
  row.add_bool(!started.refused && !started.limited).add_bool(started.duplicate);
  run::add_refusal(row, started.refused);
  run::add_rate(row, started.rate);
  return row.finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_start_step_run) {
  const pg::Arguments arguments(fcinfo);
  run::Start request = run::read_start(arguments);
  request.run_id = arguments.uuid(12, "p_run_id");
  const run::Started started = begin(request);
  pg::ResultRow row;
  row.add(started.run_id).text(started.status).add_bool(!started.refused);
  row.add_bool(started.duplicate);
  run::add_refusal(row, started.refused);
  return row.finish(fcinfo);
}
