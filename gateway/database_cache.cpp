#include "gateway/database_cache.hpp"

#include "gateway/database_text.hpp"

#include <cstdlib>

namespace holdfast::gateway {
namespace {

constexpr std::int64_t kMsPerSecond = 1000;

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

std::int64_t integer(const Rows& rows, int column) {
  return std::strtoll(rows.text(0, column).c_str(), nullptr, 10);
}

} // namespace

void CacheDatabase::check() {
  pool_.prepare_all({&kCachedCall, &kKeepAnswer, &kExtendFlight, &kEndFlight});
}

CacheReply CacheDatabase::ask(const CacheQuestion& question) {
  std::optional<std::string> max_age;
  if (question.max_age_s) max_age = interval_text(*question.max_age_s * kMsPerSecond);
  std::optional<std::string> fingerprint;
  if (question.fingerprint) fingerprint = bytea_text(*question.fingerprint);
  const Rows rows = pool_.run(
      kCachedCall, {question.organization_id, bytea_text(question.key_hash),
                    bytea_text(question.key), question.flight_id, question.asked ? "true" : "false",
                    max_age, question.entry_id, interval_text(question.lease_ms),
                    question.workflow_id, question.user_id, question.idempotency_key, fingerprint,
                    question.client_ip, question.route, question.metadata_json});
  if (rows.size() < 1) throw DatabaseError("XX000", "cached_call answered no row", "", "");
  CacheReply reply;
  reply.outcome = to_outcome(rows.text(0, 0));
  reply.entry_id = rows.text(0, 1);
  reply.answer = rows.get(0, 2);
  reply.provider = rows.text(0, 3);
  reply.model = rows.text(0, 4);
  reply.saved_usd = rows.get(0, 5);
  reply.age_ms = integer(rows, 6);
  reply.lease_ms = integer(rows, 7);
  if (rows.get(0, 8)) reply.retry_after_ms = integer(rows, 8);
  if (rows.get(0, 9))
    reply.rate =
        RateFigures{rows.text(0, 9), integer(rows, 10), integer(rows, 11), integer(rows, 12)};
  return reply;
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
