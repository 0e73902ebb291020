#include "gateway/database_runs.hpp"

#include "gateway/database_text.hpp"

#include <cstdlib>

namespace holdfast::gateway {
namespace {

constexpr Statement kSaveDefinition{
    "holdfast_save_definition",
    "SELECT d.workflow_id, d.name, d.version, d.duplicate"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.save_workflow_definition(p_organization_id => $1::uuid,"
    " p_definition => $3::jsonb, p_created_by => k.user_id) d",
    true};

constexpr Statement kListDefinitions{
    "holdfast_list_definitions",
    "SELECT d.workflow_id, d.name, d.version, d.definition, to_json(d.created_at) #>> '{}'"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.list_workflow_definitions(p_organization_id => $1::uuid) d",
    true};

constexpr Statement kStartRun{
    "holdfast_start_run",
    "SELECT r.run_id, r.status, r.granted, r.duplicate, r.scope, r.limit_usd, r.spent, r.held,"
    " r.rate_layer, r.rate_limit, r.rate_remaining, r.rate_reset_ms, r.retry_after_ms"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.start_run(p_organization_id => $1::uuid, p_workflow_id => $3::uuid,"
    " p_name => $4::text, p_definition => $5::jsonb, p_input => $6::jsonb,"
    " p_user_id => coalesce($7::text, k.user_id), p_idempotency_key => $8::text,"
    " p_api_key_id => k.api_key_id, p_ip => $9::inet, p_route => $10::text,"
    " p_split_key => $11::text) r",
    false};

#define HOLDFAST_RUN_COLUMNS                                                                       \
  "SELECT r.run_id, r.workflow_id, r.name, r.version, r.user_id, r.status, r.steps, r.error,"      \
  " r.total_cost_usd, r.total_latency_ms, to_json(r.created_at) #>> '{}',"                         \
  " to_json(r.ended_at) #>> '{}', r.replay_token, r.replay_of"                                     \
  " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"

constexpr Statement kGetRun{"holdfast_get_run",
                            HOLDFAST_RUN_COLUMNS " LATERAL holdfast.get_run(p_run_id => $3::uuid,"
                                                 " p_organization_id => $1::uuid) r",
                            true};

constexpr Statement kListRuns{"holdfast_list_runs",
                              HOLDFAST_RUN_COLUMNS
                              " LATERAL holdfast.list_runs(p_organization_id => $1::uuid,"
                              " p_workflow_id => $3::uuid, p_user_id => $4::text,"
                              " p_limit => $5::integer) r",
                              true};
#undef HOLDFAST_RUN_COLUMNS

constexpr Statement kRunEvents{
    "holdfast_run_events",
    "SELECT e.event_no, to_json(e.at) #>> '{}', e.event, e.step_id, e.detail"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.get_run_events(p_run_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_after => $4::bigint) e",
    true};

constexpr Statement kCancelRun{
    "holdfast_cancel_run",
    "SELECT r.status"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.cancel_run(p_run_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_reason => $4::text) r",
    true};

constexpr Statement kApproveStep{
    "holdfast_approve_step",
    "SELECT s"
    " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"
    " LATERAL holdfast.approve_step(p_run_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_step_id => $4::text, p_approved => $5::boolean, p_actor => k.user_id,"
    " p_reason => $6::text, p_role => k.role) s",
    false};

constexpr Statement kClaimStep{
    "holdfast_claim_step",
    "SELECT organization_id, run_id, step_id, fence, provider, model, prompt, system_prompt,"
    " max_tokens, temperature, schema, action FROM holdfast.claim_step(p_worker => $1::text,"
    " p_providers => $2::text[], p_models => $3::text[], p_most => $4::integer,"
    " p_lease => $5::interval)",
    false};

constexpr Statement kCompleteStep{
    "holdfast_complete_step",
    "SELECT accepted, run_status FROM holdfast.complete_step(p_organization_id => $1::uuid,"
    " p_run_id => $2::uuid, p_step_id => $3::text, p_fence => $4::bigint, p_output => $5::text,"
    " p_prompt_tokens => $6::integer, p_completion_tokens => $7::integer,"
    " p_cached_tokens => $8::integer, p_cache_write_tokens => $9::integer,"
    " p_reasoning_tokens => $10::integer, p_estimated => $11::boolean,"
    " p_reported_cost => $12::numeric, p_latency_ms => $13::bigint, p_metadata => $14::jsonb)",
    true};

constexpr Statement kFailStep{
    "holdfast_fail_step",
    "SELECT accepted, run_status FROM holdfast.fail_step(p_organization_id => $1::uuid,"
    " p_run_id => $2::uuid, p_step_id => $3::text, p_fence => $4::bigint, p_code => $5::text,"
    " p_message => $6::text, p_transient => $7::boolean, p_retry_after_ms => $8::integer,"
    " p_prompt_tokens => $9::integer, p_completion_tokens => $10::integer,"
    " p_cached_tokens => $11::integer, p_cache_write_tokens => $12::integer,"
    " p_reasoning_tokens => $13::integer, p_estimated => $14::boolean,"
    " p_reported_cost => $15::numeric, p_provider_ok => $16::boolean, p_latency_ms => $17::bigint,"
    " p_elsewhere => $18::boolean)",
    true};

constexpr Statement kHeartbeat{
    "holdfast_heartbeat_steps",
    "SELECT step_id FROM holdfast.heartbeat_steps(p_worker => $1::text,"
    " p_organization_ids => $2::uuid[], p_run_ids => $3::uuid[], p_step_ids => $4::text[],"
    " p_fences => $5::bigint[], p_lease => $6::interval)",
    true};

constexpr Statement kReap{"holdfast_reap_run_steps",
                          "SELECT holdfast.reap_run_steps(p_most => $1::integer)", true};

constexpr Statement kTendBatches{"holdfast_tend_run_batches",
                                 "SELECT holdfast.tend_run_batches(p_most => $1::integer)", true};

constexpr Statement kListenSteps{"holdfast_listen_steps", "LISTEN holdfast_steps", true};
constexpr Statement kListenRuns{"holdfast_listen_runs", "LISTEN holdfast_runs", true};

void need_row(const Rows& rows, const char* function) {
  if (rows.size() > 0) return;
  throw DatabaseError("XX000", std::string(function) + " answered no row", "", "");
}

std::string flag(bool value) {
  return value ? "true" : "false";
}

RunView run_view(const Rows& rows, int row) {
  RunView run;
  run.run_id = rows.text(row, 0);
  run.workflow_id = rows.get(row, 1);
  run.name = rows.text(row, 2);
  run.version = rows.text(row, 3);
  run.user_id = rows.get(row, 4);
  run.status = rows.text(row, 5);
  run.steps = rows.text(row, 6);
  run.error = rows.get(row, 7);
  run.total_cost_usd = rows.get(row, 8);
  run.total_latency_ms = rows.text(row, 9);
  run.created_at = rows.text(row, 10);
  run.ended_at = rows.get(row, 11);
  run.replay_token = rows.text(row, 12);
  run.replay_of = rows.get(row, 13);
  return run;
}

ClaimedStep claimed_step(const Rows& rows, int row) {
  ClaimedStep step;
  step.organization_id = rows.text(row, 0);
  step.run_id = rows.text(row, 1);
  step.step_id = rows.text(row, 2);
  step.fence = rows.text(row, 3);
  step.provider = rows.text(row, 4);
  step.model = rows.text(row, 5);
  step.prompt = rows.text(row, 6);
  step.system_prompt = rows.get(row, 7);
  step.max_tokens = static_cast<int>(std::strtol(rows.text(row, 8).c_str(), nullptr, 10));
  if (const auto temperature = rows.get(row, 9))
    step.temperature = std::strtod(temperature->c_str(), nullptr);
  step.schema = rows.get(row, 10);
  step.delivers = rows.text(row, 11) == "deliver";
  return step;
}

void add_usage(Parameters& parameters, const Usage& usage) {
  parameters.emplace_back(tokens_text(usage.prompt_tokens));
  parameters.emplace_back(tokens_text(usage.completion_tokens));
  parameters.emplace_back(tokens_text(usage.cached_tokens));
  parameters.emplace_back(tokens_text(usage.cache_write_tokens));
  parameters.emplace_back(tokens_text(usage.reasoning_tokens));
  parameters.emplace_back(flag(usage.estimated));
  parameters.push_back(usage.reported_cost_usd);
}

FinishedStep finished_step(const Rows& rows, const char* function) {
  need_row(rows, function);
  return {rows.text(0, 0) == "t", rows.text(0, 1)};
}

} // namespace

void RunDatabase::check() {
  pool_.prepare_all({&kSaveDefinition, &kListDefinitions, &kStartRun, &kGetRun, &kListRuns,
                     &kRunEvents, &kCancelRun, &kApproveStep, &kClaimStep, &kCompleteStep,
                     &kFailStep, &kHeartbeat, &kReap, &kTendBatches});
}

SavedDefinition RunDatabase::save_definition(const Caller& caller, const std::string& definition) {
  const Rows rows =
      pool_.run(kSaveDefinition, {caller.organization_id, bytea_text(caller.key_hash), definition});
  need_row(rows, "save_workflow_definition");
  return {rows.text(0, 0), rows.text(0, 1), rows.text(0, 2), "", "", rows.text(0, 3) == "t"};
}

std::vector<SavedDefinition> RunDatabase::list_definitions(const Caller& caller) {
  const Rows rows =
      pool_.run(kListDefinitions, {caller.organization_id, bytea_text(caller.key_hash)});
  std::vector<SavedDefinition> definitions;
  for (int row = 0; row < rows.size(); ++row)
    definitions.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2),
                           rows.text(row, 3), rows.text(row, 4), false});
  return definitions;
}

StartedRun started_run(const Rows& rows, int refusal) {
  const auto number = [&](int column) {
    return std::strtoll(rows.text(0, column).c_str(), nullptr, 10);
  };
  StartedRun run;
  run.id = rows.text(0, 0);
  run.limited = rows.text(0, 1) == "limited";
  run.granted = rows.text(0, 2) == "t";
  run.duplicate = rows.text(0, 3) == "t";
  run.scope = rows.text(0, refusal);
  run.limit_usd = rows.get(0, refusal + 1);
  run.spent_usd = rows.get(0, refusal + 2);
  run.held_usd = rows.get(0, refusal + 3);
  if (rows.get(0, refusal + 4))
    run.rate = RateFigures{rows.text(0, refusal + 4), number(refusal + 5), number(refusal + 6),
                           number(refusal + 7)};
  if (rows.get(0, refusal + 8)) run.retry_after_ms = number(refusal + 8);
  return run;
}

StartedRun RunDatabase::start(const Caller& caller, const RunOrder& order) {
  const Rows rows =
      pool_.run(kStartRun, {caller.organization_id, bytea_text(caller.key_hash), order.workflow_id,
                            order.name, order.definition, order.input, order.user_id,
                            order.idempotency_key, order.client_ip, order.route, order.split_key});
  need_row(rows, "start_run");
  return started_run(rows, 4);
}

RunView RunDatabase::get(const Caller& caller, const std::string& run_id) {
  const Rows rows =
      pool_.run(kGetRun, {caller.organization_id, bytea_text(caller.key_hash), run_id});
  need_row(rows, "get_run");
  return run_view(rows, 0);
}

std::vector<RunView> RunDatabase::list(const Caller& caller,
                                       const std::optional<std::string>& workflow_id,
                                       const std::optional<std::string>& user_id, int limit) {
  const Rows rows = pool_.run(kListRuns, {caller.organization_id, bytea_text(caller.key_hash),
                                          workflow_id, user_id, std::to_string(limit)});
  std::vector<RunView> runs;
  for (int row = 0; row < rows.size(); ++row)
    runs.push_back(run_view(rows, row));
  return runs;
}

std::vector<RunEvent> RunDatabase::events(const Caller& caller, const std::string& run_id,
                                          const std::string& after) {
  const Rows rows =
      pool_.run(kRunEvents, {caller.organization_id, bytea_text(caller.key_hash), run_id, after});
  std::vector<RunEvent> events;
  for (int row = 0; row < rows.size(); ++row)
    events.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2), rows.get(row, 3),
                      rows.text(row, 4)});
  return events;
}

void RunDatabase::cancel(const Caller& caller, const std::string& run_id,
                         const std::optional<std::string>& reason) {
  pool_.run(kCancelRun, {caller.organization_id, bytea_text(caller.key_hash), run_id, reason});
}

void RunDatabase::approve(const Caller& caller, const std::string& run_id,
                          const std::string& step_id, bool approved,
                          const std::optional<std::string>& reason) {
  pool_.run(kApproveStep, {caller.organization_id, bytea_text(caller.key_hash), run_id, step_id,
                           flag(approved), reason});
}

std::vector<ClaimedStep> RunDatabase::claim(const std::string& worker,
                                            const std::vector<std::string>& providers,
                                            const std::vector<std::string>& models, int most,
                                            std::int64_t lease_ms) {
  const Rows rows = pool_.run(kClaimStep, {worker, array_text(providers), array_text(models),
                                           std::to_string(most), interval_text(lease_ms)});
  std::vector<ClaimedStep> steps;
  for (int row = 0; row < rows.size(); ++row)
    steps.push_back(claimed_step(rows, row));
  return steps;
}

FinishedStep RunDatabase::complete(const ClaimedStep& step, const std::string& output,
                                   const std::optional<Usage>& usage, std::int64_t latency_ms,
                                   const std::string& metadata_json) {
  constexpr std::size_t kPromptTokens = 5;
  Parameters parameters = {step.organization_id, step.run_id, step.step_id, step.fence, output};
  add_usage(parameters, usage.value_or(Usage()));
  if (!usage) parameters[kPromptTokens] = std::nullopt; // not charged
  parameters.emplace_back(std::to_string(latency_ms));
  parameters.emplace_back(metadata_json);
  return finished_step(pool_.run(kCompleteStep, parameters), "complete_step");
}

FinishedStep RunDatabase::fail(const ClaimedStep& step, const StepFailure& failure) {
  Parameters parameters = {
      step.organization_id, step.run_id,     step.step_id,           step.fence,
      failure.code,         failure.message, flag(failure.transient)};
  if (failure.retry_after_ms)
    parameters.emplace_back(std::to_string(*failure.retry_after_ms));
  else
    parameters.emplace_back(std::nullopt);
  add_usage(parameters, failure.usage.value_or(Usage()));
  if (!failure.usage) parameters[8] = std::nullopt; // not charged
  if (failure.provider_ok)
    parameters.emplace_back(flag(*failure.provider_ok));
  else
    parameters.emplace_back(std::nullopt);
  parameters.emplace_back(std::to_string(failure.latency_ms));
  parameters.emplace_back(flag(failure.elsewhere));
  return finished_step(pool_.run(kFailStep, parameters), "fail_step");
}

int RunDatabase::heartbeat(const std::string& worker, const std::vector<ClaimedStep>& steps,
                           std::int64_t lease_ms) {
  std::vector<std::string> organizations;
  std::vector<std::string> runs;
  std::vector<std::string> ids;
  std::vector<std::string> fences;
  for (const ClaimedStep& step : steps) {
    organizations.push_back(step.organization_id);
    runs.push_back(step.run_id);
    ids.push_back(step.step_id);
    fences.push_back(step.fence);
  }
  return pool_
      .run(kHeartbeat, {worker, array_text(organizations), array_text(runs), array_text(ids),
                        array_text(fences), interval_text(lease_ms)})
      .size();
}

int RunDatabase::reap(int most) {
  const Rows rows = pool_.run(kReap, {std::to_string(most)});
  need_row(rows, "reap_run_steps");
  return static_cast<int>(std::strtol(rows.text(0, 0).c_str(), nullptr, 10));
}

int RunDatabase::tend_batches(int most) {
  const Rows rows = pool_.run(kTendBatches, {std::to_string(most)});
  need_row(rows, "tend_run_batches");
  return static_cast<int>(std::strtol(rows.text(0, 0).c_str(), nullptr, 10));
}

std::vector<std::pair<std::string, std::string>> RunListener::wait(int wait_ms) {
  std::unique_ptr<Connection> connection = std::move(connection_);
  if (!connection) {
    connection = std::make_unique<Connection>(conninfo_, give_up_);
    for (const Statement* statement : {&kListenSteps, &kListenRuns}) {
      bool may_have_run = false;
      connection->prepare(*statement);
      connection->run(*statement, {}, may_have_run);
    }
  }
  auto notices = connection->wait_notices(wait_ms);
  connection_ = std::move(connection);
  return notices;
}

} // namespace holdfast::gateway
