#include "gateway/database_comparisons.hpp"

#include "gateway/database_text.hpp"

namespace holdfast::gateway {
namespace {

#define HOLDFAST_CALLER                                                                            \
  " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"     \
  " LATERAL "

constexpr Statement kRecordOutcome{
    "holdfast_record_run_outcome",
    "SELECT o" HOLDFAST_CALLER "holdfast.record_run_outcome(p_run_id => $3::uuid,"
    " p_organization_id => $1::uuid, p_outcome => $4::text, p_score => $5::numeric) o",
    true};

constexpr Statement kVariants{
    "holdfast_get_variant_results",
    "SELECT v.step_id, v.variant, v.runs, v.completed, v.failed, v.cost_usd, v.mean_cost_usd,"
    " v.mean_latency_ms, v.outcomes, v.scored, v.mean_score" HOLDFAST_CALLER
    "holdfast.get_variant_results(p_organization_id => $1::uuid, p_workflow_id => $3::uuid,"
    " p_step_id => $4::text) v",
    true};

constexpr Statement kReplay{
    "holdfast_replay_run",
    "SELECT r.run_id, r.status, r.granted, r.duplicate, r.scope, r.limit_usd, r.spent, r.held,"
    " r.rate_layer, r.rate_limit, r.rate_remaining, r.rate_reset_ms,"
    " r.retry_after_ms" HOLDFAST_CALLER "holdfast.replay_run(p_replay_token => $3::uuid,"
    " p_organization_id => $1::uuid, p_mode => $4::text, p_api_key_id => k.api_key_id,"
    " p_idempotency_key => $5::text, p_ip => $6::inet, p_route => $7::text) r",
    false};
#undef HOLDFAST_CALLER

} // namespace

void ComparisonDatabase::check() const {
  pool_.prepare_all({&kRecordOutcome, &kVariants, &kReplay});
}

void ComparisonDatabase::record_outcome(const Caller& caller, const std::string& run_id,
                                        const RunOutcome& outcome) const {
  pool_.run(kRecordOutcome, {caller.organization_id, bytea_text(caller.key_hash), run_id,
                             outcome.outcome, outcome.score});
}

std::vector<VariantResult>
ComparisonDatabase::variants(const Caller& caller, const std::string& workflow_id,
                             const std::optional<std::string>& step) const {
  const Rows rows = pool_.run(
      kVariants, {caller.organization_id, bytea_text(caller.key_hash), workflow_id, step});
  std::vector<VariantResult> results;
  for (int row = 0; row < rows.size(); ++row)
    results.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2), rows.text(row, 3),
                       rows.text(row, 4), rows.get(row, 5), rows.get(row, 6), rows.get(row, 7),
                       rows.text(row, 8), rows.text(row, 9), rows.get(row, 10)});
  return results;
}

StartedRun ComparisonDatabase::replay(const Caller& caller, const ReplayOrder& order) const {
  const Rows rows =
      pool_.run(kReplay, {caller.organization_id, bytea_text(caller.key_hash), order.token,
                          order.mode, order.idempotency_key, order.client_ip, order.route});
  if (rows.size() == 0) throw DatabaseError("XX000", "replay_run answered no row", "", "");
  return started_run(rows, 4);
}

} // namespace holdfast::gateway
