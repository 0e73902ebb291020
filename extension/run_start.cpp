// Begins runs.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

using namespace holdfast;

namespace {

// A run's hold outlives its time by so much that what it began can be settled under it.
constexpr std::int64_t kGraceUs = 10 * USECS_PER_MINUTE;
constexpr std::int64_t kApprovalUs = 24 * USECS_PER_HOUR;
constexpr std::size_t kMostInputBytes = 256 * 1024;

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

constexpr Oid kInsertTypes[] = {UUIDOID, UUIDOID,    UUIDOID,        TEXTOID,       TEXTOID,
                                TEXTOID, TEXTOID,    TEXTOID,        UUIDOID,       UUIDOID,
                                TEXTOID, UUIDOID,    TEXTOID,        TEXTOID,       TEXTOID,
                                UUIDOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
pg::Statement insert_run(
    "INSERT INTO holdfast.workflow_runs (organization_id, run_id, workflow_id, name, version,"
    " definition, input, status, user_id, api_key_id, community_id, tool, intent_workflow_id,"
    " split_key, idempotency_key, fingerprint, hold_id, max_cost, created_at, deadline_at)"
    " VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, 'running', $8, $9, $10, $11, $12, $13, $14,"
    " CASE WHEN $14 IS NOT NULL THEN sha256(convert_to($15, 'UTF8')) END, $16, $17, $18, $19)"
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

// What start_run() is asked for.
struct Request {
  run::Run run;
  std::optional<Uuid> run_id; // of the step of a workflow that it does
  std::optional<Uuid> workflow_id;
  std::optional<std::string> name;
  std::string asked;      // what names the definition
  std::string definition; // as JSON
  std::string input;
  std::optional<std::string> key;
};

struct Started {
  Uuid run_id;
  std::string status;
  bool duplicate = false;
  std::optional<budget::Figures> refused;
};

void find_definition_of(Request& request) {
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

Request read_request(const pg::Arguments& arguments) {
  Request request;
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
std::string fingerprint(const Request& request) {
  return request.asked + '\n' + request.input + '\n' + request.run.subject.user_id.value_or("");
}

std::optional<Started> repeated(const Request& request) {
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
  return Started{rows[0].uuid(1), rows[0].text(2), true, {}};
}

bool insert(const Request& request, TimestampTz now) {
  const run::Run& run = request.run;
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
                      .add(TimestampTzGetDatum(*run.deadline)))
             .size() == 1;
}

budget::HoldResult take_hold(const run::Run& run, TimestampTz now) {
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

void begin_steps(run::Run& run) {
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

Started start(Request& request, TimestampTz now) {
  find_definition_of(request);
  run::Run& run = request.run;
  budget::pin_budgets(run.organization_id());
  if (std::optional<Started> earlier = repeated(request)) return *earlier;
  run.definition = parse_definition(request.definition, run::limits());
  run.state.definition = &run.definition;
  run.state.input = JsonValue::parse(request.input).value_or(JsonValue());
  check_input(run.definition, run.state.input);
  run.run_id = request.run_id ? *request.run_id : pg::new_uuid();
  if (request.run_id) run::bind_workflow(run);
  run.hold_id = run.run_id;
  run.max_cost = run.definition.most_cost;
  run.deadline = now + run.definition.timeout_ms * 1000;
  if (run.split_key.empty()) run.split_key = run.subject.user_id.value_or(run.run_id.str());
  // The key is claimed first: another session that claims it waits, and nobody holds for nothing.
  if (!insert(request, now)) return repeated(request).value();
  const budget::HoldResult hold = take_hold(run, now);
  begin_steps(run);
  run::tell(run, "run.started", std::nullopt,
            JsonObject()
                .text("name", run.definition.name)
                .number("maxCostUSD", run.max_cost.str())
                .str());
  if (hold.reservation.granted) {
    run::move_on(run, now);
    return {run.run_id, run.status, false, {}};
  }
  run.has_hold = false;
  forget_key.run(pg::Parameters().add(run.organization_id()).add(run.run_id)); // nothing to repeat
  run::end_run(run, "failed",
               step_error("budget_exceeded", "The budget of scope " +
                                                 hold.reservation.figures.scope +
                                                 " does not hold what the run can cost."),
               now);
  run::store(run, now);
  return {run.run_id, run.status, false, hold.reservation.figures};
}

Datum start_row(FunctionCallInfo fcinfo, Request request) {
  organization::require(request.run.organization_id());
  Started started;
  {
    pg::Spi spi;
    started = start(request, GetCurrentTimestamp());
  }
  pg::ResultRow row;
  row.add(started.run_id).text(started.status).add_bool(!started.refused);
  row.add_bool(started.duplicate);
  row.text(started.refused ? std::optional(started.refused->scope) : std::nullopt);
  row.add(started.refused ? started.refused->limit : std::nullopt);
  row.add(started.refused ? std::optional(started.refused->spent) : std::nullopt);
  row.add(started.refused ? std::optional(started.refused->held) : std::nullopt);
  return row.finish(fcinfo);
}

} // namespace

HOLDFAST_FUNCTION(holdfast_start_run) {
  return start_row(fcinfo, read_request(pg::Arguments(fcinfo)));
}

HOLDFAST_FUNCTION(holdfast_start_step_run) {
  const pg::Arguments arguments(fcinfo);
  Request request = read_request(arguments);
  request.run_id = arguments.uuid(12, "p_run_id");
  return start_row(fcinfo, std::move(request));
}
