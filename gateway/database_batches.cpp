#include "gateway/database_batches.hpp"

#include "gateway/database_text.hpp"

namespace holdfast::gateway {
namespace {

#define HOLDFAST_CALLER                                                                            \
  " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"     \
  " LATERAL "

constexpr Statement kStart{
    "holdfast_start_run_batch",
    "SELECT b.batch_id, b.status, b.granted, b.duplicate, b.scope, b.limit_usd, b.spent, b.held,"
    " b.rate_layer, b.rate_limit, b.rate_remaining, b.rate_reset_ms,"
    " b.retry_after_ms" HOLDFAST_CALLER
    "holdfast.start_run_batch(p_organization_id => $1::uuid, p_inputs => $3::jsonb,"
    " p_workflow_id => $4::uuid, p_name => $5::text, p_definition => $6::jsonb,"
    " p_user_id => coalesce($7::text, k.user_id), p_idempotency_key => $8::text,"
    " p_api_key_id => k.api_key_id, p_max_cost => $9::numeric, p_most_active => $10::integer,"
    " p_ip => $11::inet, p_route => $12::text) b",
    false};

#define HOLDFAST_BATCH_COLUMNS                                                                     \
  "SELECT b.batch_id, b.workflow_id, b.name, b.version, b.user_id, b.status, b.inputs, b.pending," \
  " b.running, b.completed, b.failed, b.cancelled, b.total_cost_usd, b.held_usd, b.remaining_usd," \
  " b.max_cost_usd, b.most_active, b.error, to_json(b.created_at) #>> '{}',"                       \
  " to_json(b.ended_at) #>> '{}'" HOLDFAST_CALLER

constexpr Statement kGet{"holdfast_get_run_batch",
                         HOLDFAST_BATCH_COLUMNS "holdfast.get_run_batch(p_batch_id => $3::uuid,"
                                                " p_organization_id => $1::uuid) b",
                         true};

constexpr Statement kList{"holdfast_list_run_batches",
                          HOLDFAST_BATCH_COLUMNS
                          "holdfast.list_run_batches(p_organization_id => $1::uuid,"
                          " p_limit => $3::integer) b",
                          true};
#undef HOLDFAST_BATCH_COLUMNS

constexpr Statement kResults{
    "holdfast_list_run_batch_results",
    "SELECT i.input_no, i.input, i.run_id, i.status, i.steps, i.error, i.total_cost_usd,"
    " i.total_latency_ms" HOLDFAST_CALLER
    "holdfast.list_run_batch_results(p_batch_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_after => $4::integer, p_limit => $5::integer, p_status => $6::text) i",
    true};

constexpr Statement kCancel{"holdfast_cancel_run_batch",
                            "SELECT s" HOLDFAST_CALLER
                            "holdfast.cancel_run_batch(p_batch_id => $3::uuid,"
                            " p_organization_id => $1::uuid, p_reason => $4::text) s",
                            true};
#undef HOLDFAST_CALLER

BatchView batch_view(const Rows& rows, int row) {
  BatchView batch;
  batch.batch_id = rows.text(row, 0);
  batch.workflow_id = rows.get(row, 1);
  batch.name = rows.text(row, 2);
  batch.version = rows.text(row, 3);
  batch.user_id = rows.get(row, 4);
  batch.status = rows.text(row, 5);
  batch.inputs = rows.text(row, 6);
  batch.pending = rows.text(row, 7);
  batch.running = rows.text(row, 8);
  batch.completed = rows.text(row, 9);
  batch.failed = rows.text(row, 10);
  batch.cancelled = rows.text(row, 11);
  batch.total_cost_usd = rows.get(row, 12);
  batch.held_usd = rows.get(row, 13);
  batch.remaining_usd = rows.get(row, 14);
  batch.max_cost_usd = rows.get(row, 15);
  batch.most_active = rows.text(row, 16);
  batch.error = rows.get(row, 17);
  batch.created_at = rows.text(row, 18);
  batch.ended_at = rows.get(row, 19);
  return batch;
}

void need_row(const Rows& rows, const char* function) {
  if (rows.size() > 0) return;
  throw DatabaseError("XX000", std::string(function) + " answered no row", "", "");
}

} // namespace

void BatchDatabase::check() {
  pool_.prepare_all({&kStart, &kGet, &kList, &kResults, &kCancel});
}

StartedRun BatchDatabase::start(const Caller& caller, const BatchOrder& batch) {
  const RunOrder& order = batch.order;
  const Rows rows =
      pool_.run(kStart, {caller.organization_id, bytea_text(caller.key_hash), batch.inputs,
                         order.workflow_id, order.name, order.definition, order.user_id,
                         order.idempotency_key, batch.max_cost_usd,
                         std::to_string(batch.most_active), order.client_ip, order.route});
  need_row(rows, "start_run_batch");
  return started_run(rows, 4);
}

BatchView BatchDatabase::get(const Caller& caller, const std::string& batch_id) {
  const Rows rows =
      pool_.run(kGet, {caller.organization_id, bytea_text(caller.key_hash), batch_id});
  need_row(rows, "get_run_batch");
  return batch_view(rows, 0);
}

std::vector<BatchView> BatchDatabase::list(const Caller& caller, int limit) {
  const Rows rows = pool_.run(
      kList, {caller.organization_id, bytea_text(caller.key_hash), std::to_string(limit)});
  std::vector<BatchView> batches;
  for (int row = 0; row < rows.size(); ++row)
    batches.push_back(batch_view(rows, row));
  return batches;
}

std::vector<BatchResult> BatchDatabase::results(const Caller& caller, const std::string& batch_id,
                                                const BatchPage& page) {
  const Rows rows =
      pool_.run(kResults, {caller.organization_id, bytea_text(caller.key_hash), batch_id,
                           std::to_string(page.after), std::to_string(page.limit), page.status});
  std::vector<BatchResult> results;
  for (int row = 0; row < rows.size(); ++row)
    results.push_back({rows.text(row, 0), rows.text(row, 1), rows.get(row, 2), rows.text(row, 3),
                       rows.get(row, 4), rows.get(row, 5), rows.get(row, 6), rows.get(row, 7)});
  return results;
}

void BatchDatabase::cancel(const Caller& caller, const std::string& batch_id,
                           const std::optional<std::string>& reason) {
  pool_.run(kCancel, {caller.organization_id, bytea_text(caller.key_hash), batch_id, reason});
}

} // namespace holdfast::gateway
