#include "gateway/database.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/database_approvals.hpp"
#include "gateway/database_batches.hpp"
#include "gateway/database_cache.hpp"
#include "gateway/database_comparisons.hpp"
#include "gateway/database_runs.hpp"
#include "gateway/database_status.hpp"
#include "gateway/database_text.hpp"
#include "gateway/json_read.hpp"

#include <cstdlib>

namespace holdfast::gateway {
namespace {

// A standby answers, and takes nothing.
constexpr Statement kAlive{"holdfast_alive",
                           "SELECT 1 WHERE current_setting('transaction_read_only') = 'off'", true};

constexpr Statement kAuthenticateKey{
    "holdfast_authenticate_key",
    "SELECT api_key_id, user_id, role FROM holdfast.authenticate_key("
    "p_organization_id => $1::uuid, p_key_hash => $2::bytea)",
    true};

constexpr Statement kListModels{"holdfast_list_models",
                                "SELECT provider, model, cost_per_1m_input, cost_per_1m_output "
                                "FROM holdfast.list_models(p_providers => $1::text[])",
                                true};

constexpr Statement kOpenCall{
    "holdfast_open_call",
    "SELECT outcome, hold_id, provider, model, estimated_cost, scope, limit_usd, spent, held, "
    "remaining, user_id, retry_after_ms, answer_status, answer, completion_tokens, warning, "
    "rate_layer, rate_limit, rate_remaining, rate_reset_ms, trial, routing, redact, "
    "keeps_bodies, approval_id, approval_threshold, to_char(expires_at AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), caches_all, "
    "scoped_budgets "
    "FROM holdfast.open_call(p_organization_id => $1::uuid, p_key_hash => $2::bytea, "
    "p_model => $3::text, p_prompt_tokens => $4::integer, p_completion_tokens => $5::integer, "
    "p_provider => $6::text, p_providers => $7::text[], p_workflow_id => $8::uuid, "
    "p_user_id => $9::text, p_idempotency_key => $10::text, p_fingerprint => $11::bytea, "
    "p_ttl => $12::interval, p_sizing => $13::text, p_ip => $14::inet, p_route => $15::text, "
    "p_models => $16::text[], p_routing => $17::text, p_fallbacks => $18::integer, "
    "p_capabilities => $19::text[], p_request_id => $20::uuid, p_correlation_id => $21::text, "
    "p_approve_above => $22::numeric, p_approval_id => $23::uuid, p_hold_id => $24::uuid, "
    "p_in_batch => $25::boolean)",
    true};
constexpr std::size_t kInBatch = 24;
constexpr int kAnswer = 13;

constexpr Statement kSettleCall{
    "holdfast_settle_call",
    "SELECT cost, remaining FROM holdfast.settle_call(p_organization_id => $1::uuid, "
    "p_hold_id => $2::uuid, p_model => $3::text, p_prompt_tokens => $4::integer, "
    "p_completion_tokens => $5::integer, p_cached_tokens => $6::integer, "
    "p_cache_write_tokens => $7::integer, p_reasoning_tokens => $8::integer, "
    "p_estimated => $9::boolean, p_reported_cost => $10::numeric, "
    "p_answer_status => $11::integer, p_answer => $12::text, p_metadata => $13::jsonb, "
    "p_provider_ok => $14::boolean, p_latency_ms => $15::integer, p_trial => $16::bigint, "
    "p_fallback_used => $17::boolean, p_request => $18::text)",
    true};

constexpr Statement kNextAttempt{
    "holdfast_next_attempt",
    "SELECT cost, trial FROM holdfast.next_attempt(p_organization_id => $1::uuid, p_hold_id => "
    "$2::uuid, "
    "p_new_hold_id => $3::uuid, p_provider => $4::text, p_model => $5::text, "
    "p_prompt_tokens => $6::integer, p_completion_tokens => $7::integer, p_ttl => $8::interval, "
    "p_sizing => $9::text, p_used_prompt_tokens => $10::integer, "
    "p_used_completion_tokens => $11::integer, p_fallback_used => $12::boolean, "
    "p_metadata => $13::jsonb, p_provider_ok => $14::boolean, p_latency_ms => $15::integer, "
    "p_trial => $16::bigint)",
    true};

constexpr Statement kRetryAttempt{
    "holdfast_retry_attempt",
    "SELECT admitted, trial FROM holdfast.retry_attempt(p_organization_id => $1::uuid, "
    "p_hold_id => $2::uuid, p_prompt_tokens => $3::integer, p_completion_tokens => $4::integer, "
    "p_provider_ok => $5::boolean, p_latency_ms => $6::integer, p_trial => $7::bigint)",
    false};

constexpr Statement kPauseProvider{
    "holdfast_pause_provider",
    "SELECT holdfast.pause_provider(p_provider => $1::text, p_for => $2::interval, "
    "p_reason => $3::text, p_model => $4::text)",
    true};

constexpr Statement kReleaseCall{
    "holdfast_release_call",
    "SELECT holdfast.release_call(p_organization_id => $1::uuid, p_hold_id => $2::uuid, "
    "p_provider_ok => $3::boolean, p_latency_ms => $4::integer, p_trial => $5::bigint, "
    "p_metadata => $6::jsonb, p_answer_status => $7::integer)",
    true};

constexpr Statement kRecordRefusal{
    "holdfast_record_refusal",
    "SELECT holdfast.record_refusal(p_organization_id => $1::uuid, p_key_hash => $2::bytea, "
    "p_status => $3::integer, p_code => $4::text, p_request_id => $5::uuid, "
    "p_correlation_id => $6::text, p_route => $7::text, p_provider => $8::text, "
    "p_model => $9::text, p_user_id => $10::text, p_workflow_id => $11::uuid)",
    false};

constexpr Statement kExtendHold{
    "holdfast_extend_hold",
    "SELECT holdfast.extend_hold(p_hold_id => $1::uuid, p_organization_id => $2::uuid, "
    "p_ttl => $3::interval)",
    true};

std::optional<std::string> boolean(const std::optional<bool>& value) {
  if (!value) return std::nullopt;
  return *value ? "true" : "false";
}

std::optional<std::string> latency(const std::optional<std::int64_t>& ms) {
  if (!ms) return std::nullopt;
  return tokens_text(*ms); // bounded as these are
}

OpenOutcome to_outcome(const std::string& word) {
  if (word == "granted") return OpenOutcome::granted;
  if (word == "denied") return OpenOutcome::denied;
  if (word == "limited") return OpenOutcome::limited;
  if (word == "replay") return OpenOutcome::replay;
  if (word == "in_flight") return OpenOutcome::in_flight;
  if (word == "approval_required") return OpenOutcome::approval_required;
  throw DatabaseError("XX000", "open_call answered an unknown outcome", "", "");
}

std::optional<std::int64_t> to_integer(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return std::strtoll(text->c_str(), nullptr, 10);
}

void need_row(const Rows& rows, const char* function) {
  if (rows.size() < 1) {
    throw DatabaseError("XX000", std::string(function) + " answered no row", "", "");
  }
}

// What a group says of the one call that it could not open.
DatabaseError failure_in(const std::string& json_text) {
  const auto failure = parse_bounded_json(json_text);
  if (!failure) return {"XX000", "open_call told an unreadable failure", "", ""};
  const auto text = [&](const char* name) { return json_read::text(*failure, name); };
  return {text("sqlstate"), text("message"), text("detail"), text("hint")};
}

OpenedCall opened_call(const Rows& rows) {
  need_row(rows, "open_call");
  OpenedCall call;
  call.outcome = to_outcome(rows.text(0, 0));
  call.hold_id = rows.text(0, 1);
  call.provider = rows.text(0, 2);
  call.model = rows.text(0, 3);
  call.estimated_cost = rows.get(0, 4);
  call.scope = rows.text(0, 5);
  call.limit_usd = rows.get(0, 6);
  call.spent_usd = rows.get(0, 7);
  call.held_usd = rows.get(0, 8);
  call.remaining_usd = rows.get(0, 9);
  call.user_id = rows.get(0, 10);
  call.retry_after_ms = to_integer(rows.get(0, 11));
  call.answer_status = static_cast<int>(to_integer(rows.get(0, 12)).value_or(0));
  call.answer = rows.text(0, 13);
  call.completion_tokens = to_integer(rows.get(0, 14));
  call.warning = rows.get(0, 15);
  if (rows.get(0, 16))
    call.rate = RateFigures{rows.text(0, 16), *to_integer(rows.get(0, 17)),
                            *to_integer(rows.get(0, 18)), *to_integer(rows.get(0, 19))};
  call.trial = rows.get(0, 20);
  call.routing_json = rows.text(0, 21);
  call.redact = rows.text(0, 22) == "t";
  call.keeps_bodies = rows.text(0, 23) == "t";
  call.approval_id = rows.text(0, 24);
  call.approval_threshold = rows.get(0, 25);
  call.expires_at = rows.text(0, 26);
  call.caches_all = rows.text(0, 27) == "t";
  call.scoped_budgets = rows.text(0, 28) == "t";
  return call;
}

} // namespace

Database::Database(const std::string& conninfo, int pool_size)
    : pool_(conninfo, pool_size), lanes_(pool_),
      group_([this](std::size_t lane, const auto& items) { return lanes_.run(lane, items); },
             [this](const GroupItem& item) { return pool_.run(item.statement, item.parameters); }) {
}

void Database::check() {
  try {
    pool_.prepare_all({&kAlive, &kAuthenticateKey, &kListModels, &kOpenCall, &kSettleCall,
                       &kNextAttempt, &kRetryAttempt, &kPauseProvider, &kReleaseCall,
                       &kRecordRefusal, &kExtendHold});
    RunDatabase(pool_).check();
    StatusDatabase(pool_).check();
    ApprovalDatabase(pool_).check();
    CacheDatabase(pool_).check();
    BatchDatabase(pool_).check();
    ComparisonDatabase(pool_).check();
  } catch (const DatabaseUnavailable& error) {
    throw std::runtime_error(std::string("the database cannot be reached: ") + error.what());
  } catch (const DatabaseError& error) {
    throw std::runtime_error("the database lacks the extension holdfast, or has another version "
                             "of it (" +
                             std::string(error.what()) +
                             "). Run CREATE EXTENSION holdfast, or ALTER EXTENSION holdfast "
                             "UPDATE, in that database");
  }
}

bool Database::is_alive() {
  try {
    if (pool_.run(kAlive, {}).size() == 1) return true;
    // A new connection may reach the right server.
    pool_.close_idle();
    return pool_.run(kAlive, {}).size() == 1;
  } catch (const DatabaseUnavailable&) {
    return false;
  } catch (const DatabaseError&) {
    return false;
  }
}

KeyOwner Database::authenticate_key(const std::string& organization_id,
                                    const std::string& key_hash) {
  const Rows rows = pool_.run(kAuthenticateKey, {organization_id, bytea_text(key_hash)});
  need_row(rows, "authenticate_key");
  return {rows.text(0, 0), rows.get(0, 1), rows.text(0, 2)};
}

std::vector<PricedModel> Database::list_models(const std::vector<std::string>& providers) {
  const Rows rows = pool_.run(kListModels, {array_text(providers)});
  std::vector<PricedModel> models;
  for (int row = 0; row < rows.size(); ++row) {
    models.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2), rows.text(row, 3)});
  }
  return models;
}

OpenedCall Database::open_call(const OpenRequest& request) {
  std::optional<std::string> fingerprint;
  if (request.fingerprint) fingerprint = bytea_text(*request.fingerprint);
  std::optional<std::string> models;
  if (!request.models.empty()) models = array_text(request.models);
  std::optional<std::string> capabilities;
  if (!request.capabilities.empty()) capabilities = array_text(request.capabilities);
  const Parameters parameters = {request.organization_id,
                                 bytea_text(request.key_hash),
                                 request.model,
                                 tokens_text(request.prompt_tokens),
                                 tokens_text(request.completion_tokens),
                                 request.provider,
                                 array_text(request.providers),
                                 request.workflow_id,
                                 request.user_id,
                                 request.idempotency_key,
                                 fingerprint,
                                 interval_text(request.ttl_ms),
                                 request.sizing,
                                 request.client_ip,
                                 request.route,
                                 models,
                                 request.routing,
                                 std::to_string(request.fallbacks),
                                 capabilities,
                                 request.request_id,
                                 request.correlation_id,
                                 request.approve_above,
                                 request.approval_id,
                                 request.hold_id,
                                 "false"};
  // What names an approval locks more than budgets.
  if (request.approval_id) return opened_call(pool_.run(kOpenCall, parameters));
  const Rows rows =
      group_.run({kOpenCall, parameters, request.organization_id, request.subject, kInBatch});
  need_row(rows, "open_call");
  if (rows.text(0, 0) != "failed") {
    OpenedCall opened = opened_call(rows);
    group_.learn(request.organization_id, opened.scoped_budgets);
    return opened;
  }
  const DatabaseError failure = failure_in(rows.text(0, kAnswer));
  if (!failure.is_transient()) throw DatabaseError(failure);
  group_.keep_apart(request.organization_id);
  return opened_call(pool_.run(kOpenCall, parameters));
}

SettledCall Database::settle_call(const Settlement& settlement) {
  const Parameters parameters = {settlement.organization_id,
                                 settlement.hold_id,
                                 settlement.model,
                                 tokens_text(settlement.prompt_tokens),
                                 tokens_text(settlement.completion_tokens),
                                 tokens_text(settlement.cached_tokens),
                                 tokens_text(settlement.cache_write_tokens),
                                 tokens_text(settlement.reasoning_tokens),
                                 settlement.estimated ? "true" : "false",
                                 settlement.reported_cost_usd,
                                 std::to_string(settlement.answer_status),
                                 settlement.answer,
                                 settlement.metadata_json,
                                 boolean(settlement.provider_ok),
                                 latency(settlement.latency_ms),
                                 settlement.trial,
                                 boolean(settlement.fallback_used),
                                 settlement.request};
  const Rows rows = group_.run(
      {kSettleCall, parameters, settlement.organization_id, settlement.subject, std::nullopt});
  need_row(rows, "settle_call");
  return {rows.get(0, 0), rows.get(0, 1)};
}

BegunAttempt Database::next_attempt(const NextAttempt& next) {
  const auto count = [](const std::optional<std::int64_t>& used) {
    return used ? std::optional(tokens_text(*used)) : std::nullopt;
  };
  const Rows rows = pool_.run(
      kNextAttempt,
      {next.organization_id, next.hold_id, next.new_hold_id, next.provider, next.model,
       tokens_text(next.prompt_tokens), tokens_text(next.completion_tokens),
       interval_text(next.ttl_ms), next.sizing, count(next.used_prompt_tokens),
       count(next.used_completion_tokens), next.fallback_used ? "true" : "false",
       next.metadata_json, boolean(next.provider_ok), latency(next.latency_ms), next.trial});
  need_row(rows, "next_attempt");
  return {rows.get(0, 0), rows.get(0, 1)};
}

RetryAdmission Database::retry_attempt(const NextAttempt& next) {
  const Rows rows =
      pool_.run(kRetryAttempt, {next.organization_id, next.hold_id, tokens_text(next.prompt_tokens),
                                tokens_text(next.completion_tokens), boolean(next.provider_ok),
                                latency(next.latency_ms), next.trial});
  need_row(rows, "retry_attempt");
  return {rows.text(0, 0) == "t", rows.get(0, 1)};
}

void Database::pause_provider(const std::string& provider, const std::string& model,
                              std::int64_t for_ms, const std::string& reason) {
  pool_.run(kPauseProvider, {provider, interval_text(for_ms), reason, model});
}

void Database::record_refusal(const Refusal& refusal) {
  const OpenRequest& request = refusal.request;
  pool_.run(kRecordRefusal,
            {request.organization_id, bytea_text(request.key_hash), std::to_string(refusal.status),
             refusal.code, request.request_id, request.correlation_id, request.route,
             request.provider, request.model, request.user_id, request.workflow_id});
}

bool Database::release_call(const Settlement& released) {
  const Rows rows = pool_.run(
      kReleaseCall, {released.organization_id, released.hold_id, boolean(released.provider_ok),
                     latency(released.latency_ms), released.trial, released.metadata_json,
                     std::to_string(released.answer_status)});
  need_row(rows, "release_call");
  return rows.text(0, 0) == "t";
}

void Database::extend_hold(const std::string& organization_id, const std::string& hold_id,
                           std::int64_t ttl_ms) {
  pool_.run(kExtendHold, {hold_id, organization_id, interval_text(ttl_ms)});
}

} // namespace holdfast::gateway
