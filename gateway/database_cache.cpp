#include "gateway/database_cache.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/database_text.hpp"
#include "gateway/json_read.hpp"
#include "gateway/log.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace holdfast::gateway {
namespace {

constexpr std::int64_t kMsPerSecond = 1000;
constexpr std::size_t kLanes = 2;
constexpr std::size_t kMostQuestions = 64;

constexpr Statement kCachedCall{
    "holdfast_cached_call",
    "SELECT outcome, entry_id, answer, provider, model, saved, age_ms, lease_ms, retry_after_ms, "
    "rate_layer, rate_limit, rate_remaining, rate_reset_ms "
    "FROM holdfast.cached_call(p_organization_id => $1::uuid, p_key_hash => $2::bytea, "
    "p_cache_key => $3::bytea, p_flight_id => $4::uuid, p_asked => $5::boolean, "
    "p_max_age => $6::interval, p_entry_id => $7::uuid, p_lease => $8::interval, "
    "p_workflow_id => $9::uuid, p_user_id => $10::text, p_idempotency_key => $11::text, "
    "p_fingerprint => $12::bytea, p_ip => $13::inet, p_route => $14::text, "
    "p_metadata => $15::jsonb)",
    false};

constexpr Statement kCachedCalls{
    "holdfast_cached_calls",
    "SELECT c.outcome, c.entry_id, c.answer, c.provider, c.model, c.saved, c.age_ms, c.lease_ms, "
    "c.retry_after_ms, c.rate_layer, c.rate_limit, c.rate_remaining, c.rate_reset_ms "
    "FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::uuid[], $5::boolean[], $6::interval[], "
    "$7::uuid[], $8::interval[], $9::uuid[], $10::text[], $11::text[], $12::bytea[], $13::inet[], "
    "$14::text[], $15::jsonb[]) WITH ORDINALITY AS q(organization_id, key_hash, cache_key, "
    "flight_id, asked, max_age, entry_id, lease, workflow_id, user_id, idempotency_key, "
    "fingerprint, ip, route, metadata, place), "
    "LATERAL holdfast.cached_call(p_organization_id => q.organization_id, "
    "p_key_hash => q.key_hash, p_cache_key => q.cache_key, p_flight_id => q.flight_id, "
    "p_asked => q.asked, p_max_age => q.max_age, p_entry_id => q.entry_id, p_lease => q.lease, "
    "p_workflow_id => q.workflow_id, p_user_id => q.user_id, "
    "p_idempotency_key => q.idempotency_key, p_fingerprint => q.fingerprint, p_ip => q.ip, "
    "p_route => q.route, p_metadata => q.metadata, p_in_batch => true) c ORDER BY q.place",
    false};

constexpr Statement kKeepAnswer{
    "holdfast_keep_answer",
    "SELECT holdfast.keep_answer(p_organization_id => $1::uuid, p_cache_key => $2::bytea, "
    "p_flight_id => $3::uuid, p_provider => $4::text, p_model => $5::text, "
    "p_prompt_tokens => $6::integer, p_completion_tokens => $7::integer, p_answer => $8::text, "
    "p_asked => $9::boolean, p_ttl => $10::interval, p_cached_tokens => $11::integer, "
    "p_cache_write_tokens => $12::integer, p_reasoning_tokens => $13::integer)",
    true};

constexpr Statement kExtendFlight{
    "holdfast_extend_flight",
    "SELECT holdfast.extend_flight(p_organization_id => $1::uuid, p_cache_key => $2::bytea, "
    "p_flight_id => $3::uuid, p_lease => $4::interval)",
    true};

constexpr Statement kEndFlight{
    "holdfast_end_flight",
    "SELECT holdfast.end_flight(p_organization_id => $1::uuid, p_cache_key => $2::bytea, "
    "p_flight_id => $3::uuid)",
    true};

constexpr Statement kListen{"holdfast_listen_cache", "LISTEN holdfast_cache", true};

CacheOutcome to_outcome(const std::string& word) {
  if (word == "cached") return CacheOutcome::cached;
  if (word == "limited") return CacheOutcome::limited;
  if (word == "flight") return CacheOutcome::flight;
  if (word == "waiting") return CacheOutcome::waiting;
  if (word == "pass") return CacheOutcome::pass;
  throw DatabaseError("XX000", "cached_call answered an unknown outcome", "", "");
}

std::int64_t integer(const Rows& rows, int row, int column) {
  return std::strtoll(rows.text(row, column).c_str(), nullptr, 10);
}

Parameters parameters_of(const CacheQuestion& question) {
  std::optional<std::string> max_age;
  if (question.max_age_s) max_age = interval_text(*question.max_age_s * kMsPerSecond);
  std::optional<std::string> fingerprint;
  if (question.fingerprint) fingerprint = bytea_text(*question.fingerprint);
  return {question.organization_id,
          bytea_text(question.key_hash),
          bytea_text(question.key),
          question.flight_id,
          question.asked ? "true" : "false",
          max_age,
          question.entry_id,
          interval_text(question.lease_ms),
          question.workflow_id,
          question.user_id,
          question.idempotency_key,
          fingerprint,
          question.client_ip,
          question.route,
          question.metadata_json};
}

// What single questions would be asked with, each an array of all.
Parameters parameters_of(const std::vector<const CacheQuestion*>& questions) {
  std::vector<std::vector<std::optional<std::string>>> columns;
  for (const CacheQuestion* question : questions) {
    Parameters row = parameters_of(*question);
    columns.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i)
      columns[i].push_back(std::move(row[i]));
  }
  Parameters parameters;
  for (const auto& column : columns)
    parameters.emplace_back(array_text(column));
  return parameters;
}

CacheReply reply_of(const Rows& rows, int row) {
  CacheReply reply;
  reply.outcome = to_outcome(rows.text(row, 0));
  reply.entry_id = rows.text(row, 1);
  reply.answer = rows.get(row, 2);
  reply.provider = rows.text(row, 3);
  reply.model = rows.text(row, 4);
  reply.saved_usd = rows.get(row, 5);
  reply.age_ms = integer(rows, row, 6);
  reply.lease_ms = integer(rows, row, 7);
  if (rows.get(row, 8)) reply.retry_after_ms = integer(rows, row, 8);
  if (rows.get(row, 9))
    reply.rate = RateFigures{rows.text(row, 9), integer(rows, row, 10), integer(rows, row, 11),
                             integer(rows, row, 12)};
  return reply;
}

// What a question would have been refused with, had it been asked by itself.
DatabaseError refusal_of(const std::string& text) {
  const auto object = parse_bounded_json(text).value_or(nlohmann::json::object());
  return {json_read::text(object, "sqlstate"), json_read::text(object, "message"),
          json_read::text(object, "detail"), json_read::text(object, "hint")};
}

} // namespace

CacheDatabase::CacheDatabase(DatabasePool& pool)
    : pool_(pool), questions_([this](const auto& questions) { return ask_all(questions); }, kLanes,
                              kMostQuestions) {}

void CacheDatabase::check() {
  pool_.prepare_all({&kCachedCall, &kCachedCalls, &kKeepAnswer, &kExtendFlight, &kEndFlight});
}

CacheReply CacheDatabase::ask(const CacheQuestion& question) {
  auto reply = questions_.run(question);
  return reply ? std::move(*reply) : ask_one(question);
}

CacheReply CacheDatabase::ask_one(const CacheQuestion& question) {
  const Rows rows = pool_.run(kCachedCall, parameters_of(question));
  if (rows.size() < 1) throw DatabaseError("XX000", "cached_call answered no row", "", "");
  return reply_of(rows, 0);
}

std::vector<CacheDatabase::Questions::Outcome>
CacheDatabase::ask_all(const std::vector<const CacheQuestion*>& questions) {
  if (questions.size() == 1) return {ask_one(*questions.front())};
  // Flights are taken in one order by all, so that no two batches wait for each other.
  std::vector<std::size_t> order(questions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return questions[a]->key < questions[b]->key; });
  std::vector<const CacheQuestion*> sorted;
  for (const std::size_t i : order)
    sorted.push_back(questions[i]);
  std::vector<Questions::Outcome> outcomes(questions.size());
  try {
    const Rows rows = pool_.run(kCachedCalls, parameters_of(sorted));
    if (rows.size() != static_cast<int>(order.size()))
      throw DatabaseError("XX000", "cached_call answered too few rows", "", "");
    for (int row = 0; row < rows.size(); ++row) {
      Questions::Outcome& outcome = outcomes[order[static_cast<std::size_t>(row)]];
      if (rows.text(row, 0) == "failed")
        outcome = std::make_exception_ptr(refusal_of(rows.text(row, 2)));
      else
        outcome = reply_of(rows, row);
    }
  } catch (const DatabaseError& error) {
    log_event(LogLevel::warning, "batch_failed", error.sqlstate + ": " + error.what());
    return std::vector<Questions::Outcome>(questions.size());
  }
  return outcomes;
}

std::optional<std::string> CacheDatabase::keep(const FreshAnswer& fresh) {
  const Rows rows = pool_.run(
      kKeepAnswer,
      {fresh.organization_id, bytea_text(fresh.key), fresh.flight_id, fresh.provider, fresh.model,
       tokens_text(fresh.usage.prompt_tokens), tokens_text(fresh.usage.completion_tokens),
       fresh.answer, fresh.asked ? "true" : "false", interval_text(fresh.ttl_s * kMsPerSecond),
       tokens_text(fresh.usage.cached_tokens), tokens_text(fresh.usage.cache_write_tokens),
       tokens_text(fresh.usage.reasoning_tokens)});
  if (rows.size() < 1) throw DatabaseError("XX000", "keep_answer answered no row", "", "");
  return rows.get(0, 0);
}

void CacheDatabase::extend_flight(const std::string& organization_id, const std::string& key,
                                  const std::string& flight_id, std::int64_t lease_ms) {
  pool_.run(kExtendFlight, {organization_id, bytea_text(key), flight_id, interval_text(lease_ms)});
}

void CacheDatabase::end_flight(const std::string& organization_id, const std::string& key,
                               const std::string& flight_id) {
  pool_.run(kEndFlight, {organization_id, bytea_text(key), flight_id});
}

void CacheListener::connect() {
  if (connection_) return;
  auto connection = std::make_unique<Connection>(conninfo_, give_up_);
  bool may_have_run = false;
  connection->prepare(kListen);
  connection->run(kListen, {}, may_have_run);
  connection_ = std::move(connection);
}

std::vector<std::string> CacheListener::wait(int wait_ms) {
  connect();
  std::unique_ptr<Connection> connection = std::move(connection_);
  std::vector<std::string> keys;
  for (auto& [channel, payload] : connection->wait_notices(wait_ms))
    keys.push_back(std::move(payload));
  connection_ = std::move(connection);
  return keys;
}

} // namespace holdfast::gateway
