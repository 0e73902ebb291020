#include "gateway/database_intent.hpp"

#include "gateway/database_text.hpp"

#include <stdexcept>

namespace holdfast::gateway {
namespace {

#define HOLDFAST_OF_CALLER                                                                         \
  " FROM holdfast.authenticate_key(p_organization_id => $1::uuid, p_key_hash => $2::bytea) k,"     \
  " LATERAL "

constexpr Statement kCreate{"holdfast_create_intent_workflow",
                            "SELECT w.workflow_id, w.duplicate" HOLDFAST_OF_CALLER
                            "holdfast.create_intent_workflow(p_organization_id => $1::uuid,"
                            " p_input => $3::jsonb, p_cost_limit => $4::numeric,"
                            " p_idempotency_key => $5::text) w",
                            false};

constexpr Statement kGet{
    "holdfast_get_intent_workflow",
    "SELECT w.workflow_id, w.state, w.step, w.status, to_json(w.open_steps), "
    "to_json(w.next_states),"
    " w.total_ai_cost, w.held_cost, w.cost_limit, w.history, w.workflow_data, w.running, w.failure,"
    " to_json(w.created_at) #>> '{}', to_json(w.updated_at) #>> '{}'" HOLDFAST_OF_CALLER
    "holdfast.get_intent_workflow(p_workflow_id => $3::uuid, p_organization_id => $1::uuid) w",
    true};

constexpr Statement kStart{
    "holdfast_start_intent_step",
    "SELECT s.run_id, s.step, s.granted, s.duplicate, s.scope, s.limit_usd, s.spent, "
    "s.held" HOLDFAST_OF_CALLER
    "holdfast.start_intent_step(p_workflow_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_step => $4::text, p_request => $5::jsonb, p_retry => $6::boolean,"
    " p_user_id => coalesce($7::text, k.user_id), p_idempotency_key => $8::text,"
    " p_api_key_id => k.api_key_id, p_correlation_id => $9::text) s",
    false};

constexpr Statement kReview{
    "holdfast_review_intent_seeds",
    "SELECT r.state" HOLDFAST_OF_CALLER
    "holdfast.review_intent_seeds(p_workflow_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_keywords => $4::text[], p_user_id => coalesce($5::text, k.user_id), p_note => $6::text,"
    " p_correlation_id => $7::text) r",
    true};

constexpr Statement kCancel{
    "holdfast_cancel_workflow",
    "SELECT c.state" HOLDFAST_OF_CALLER
    "holdfast.cancel_workflow(p_workflow_id => $3::uuid, p_organization_id => $1::uuid,"
    " p_user_id => coalesce($4::text, k.user_id), p_reason => $5::text,"
    " p_correlation_id => $6::text) c",
    true};

constexpr Statement kFaults{
    "holdfast_faults_of_used_graphs",
    "SELECT f.graph, f.state, f.fault, f.detail FROM holdfast.faults_of_used_graphs() f", true};

#undef HOLDFAST_OF_CALLER

void need_row(const Rows& rows, const char* function) {
  if (rows.size() > 0) return;
  throw DatabaseError("XX000", std::string(function) + " answered no row", "", "");
}

void check_graphs(const Rows& faults) {
  if (faults.size() == 0) return;
  std::string list;
  for (int row = 0; row < faults.size(); ++row)
    list += (row == 0 ? " " : "; ") + faults.text(row, 0) + " " +
            faults.get(row, 1).value_or("(no state)") + ": " + faults.text(row, 2) + ", " +
            faults.text(row, 3);
  throw std::runtime_error("workflows would be stuck on a graph that has faults:" + list +
                           ". Correct workflow_states and workflow_transitions; "
                           "validate_workflow_graph() tells when they are right.");
}

} // namespace

void IntentDatabase::check() {
  pool_.prepare_all({&kCreate, &kGet, &kStart, &kReview, &kCancel, &kFaults});
  check_graphs(pool_.run(kFaults, {}));
}

std::pair<std::string, bool>
IntentDatabase::create(const Caller& caller, const std::string& input,
                       const std::optional<std::string>& cost_limit,
                       const std::optional<std::string>& idempotency_key) {
  const Rows rows = pool_.run(kCreate, {caller.organization_id, bytea_text(caller.key_hash), input,
                                        cost_limit, idempotency_key});
  need_row(rows, "create_intent_workflow");
  return {rows.text(0, 0), rows.text(0, 1) == "t"};
}

IntentWorkflow IntentDatabase::get(const Caller& caller, const std::string& workflow_id) {
  const Rows rows =
      pool_.run(kGet, {caller.organization_id, bytea_text(caller.key_hash), workflow_id});
  need_row(rows, "get_intent_workflow");
  IntentWorkflow workflow;
  workflow.workflow_id = rows.text(0, 0);
  workflow.state = rows.text(0, 1);
  workflow.step = rows.get(0, 2);
  workflow.status = rows.text(0, 3);
  workflow.open_steps = rows.text(0, 4);
  workflow.next_states = rows.text(0, 5);
  workflow.total_cost_usd = rows.get(0, 6);
  workflow.held_usd = rows.get(0, 7);
  workflow.limit_usd = rows.get(0, 8);
  workflow.history = rows.text(0, 9);
  workflow.data = rows.text(0, 10);
  workflow.running = rows.get(0, 11);
  workflow.failure = rows.get(0, 12);
  workflow.created_at = rows.text(0, 13);
  workflow.updated_at = rows.text(0, 14);
  return workflow;
}

IntentStarted IntentDatabase::start(const Caller& caller, const IntentOrder& order) {
  const Rows rows =
      pool_.run(kStart, {caller.organization_id, bytea_text(caller.key_hash), order.workflow_id,
                         order.step, order.request, order.retry ? "true" : "false", order.user_id,
                         order.idempotency_key, order.correlation_id});
  need_row(rows, "start_intent_step");
  IntentStarted started;
  started.run.id = rows.text(0, 0);
  started.step = rows.text(0, 1);
  started.run.granted = rows.text(0, 2) == "t";
  started.run.duplicate = rows.text(0, 3) == "t";
  started.run.scope = rows.text(0, 4);
  started.run.limit_usd = rows.get(0, 5);
  started.run.spent_usd = rows.get(0, 6);
  started.run.held_usd = rows.get(0, 7);
  return started;
}

void IntentDatabase::review(const Caller& caller, const std::string& workflow_id,
                            const std::vector<std::string>& keywords,
                            const std::optional<std::string>& note,
                            const std::optional<std::string>& user_id,
                            const std::string& correlation_id) {
  pool_.run(kReview, {caller.organization_id, bytea_text(caller.key_hash), workflow_id,
                      array_text(keywords), user_id, note, correlation_id});
}

void IntentDatabase::cancel(const Caller& caller, const std::string& workflow_id,
                            const std::optional<std::string>& reason,
                            const std::optional<std::string>& user_id,
                            const std::string& correlation_id) {
  pool_.run(kCancel, {caller.organization_id, bytea_text(caller.key_hash), workflow_id, user_id,
                      reason, correlation_id});
}

} // namespace holdfast::gateway
