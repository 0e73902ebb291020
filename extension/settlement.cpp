// The SQL functions that settle, adjust, and check a workflow's cost.
#include "extension/ledger.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

using namespace holdfast;

namespace {

constexpr Oid kWorkflowCostTypes[] = {UUIDOID};
pg::Statement find_workflow_cost(
    "SELECT organization_id, limit_usd, spent, held FROM holdfast.budget_counters"
    " WHERE budget_id = $1 AND scope = 'workflow'",
    kWorkflowCostTypes);

constexpr Oid kRunOutTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement sum_run_out("SELECT coalesce(sum(amount), 0) FROM holdfast.holds"
                          " WHERE organization_id = $1 AND workflow_id = $2 AND status = 'open'"
                          " AND expires_at <= $3",
                          kRunOutTypes);

struct WorkflowCost {
  Uuid organization_id;
  std::optional<Usd> limit;
  Usd spent;
  Usd held;
};

WorkflowCost workflow_cost(const Uuid& workflow_id) {
  const pg::Rows rows = find_workflow_cost.query(pg::Parameters().add(workflow_id));
  if (rows.empty())
    throw not_found("There is no workflow " + workflow_id.str() + ".")
        .detail(JsonObject().text("workflowId", workflow_id.str()).str())
        .hint("Make one with holdfast.create_workflow().");
  const pg::Row row = rows[0];
  const WorkflowCost cost{row.uuid(1), row.optional_usd(2), row.usd(3), row.usd(4)};
  organization::require(cost.organization_id);
  return cost;
}

Usd not_negative(Usd amount, const char* field) {
  if (!amount.is_negative()) return amount;
  throw bad_value(std::string(field) + " is " + amount.str() + ", below 0.")
      .detail(JsonObject().text("field", field).number("value", amount.str()).str())
      .hint("A correction is made with holdfast.increment_workflow_cost().");
}

std::optional<Usd> given_cost(const pg::Arguments& arguments, int i) {
  const std::optional<Usd> cost = arguments.optional_usd(i, "p_cost");
  if (!cost) return cost;
  return not_negative(*cost, "p_cost");
}

} // namespace

HOLDFAST_FUNCTION(holdfast_record_usage_and_increment) {
  const pg::Arguments arguments(fcinfo);
  ledger::Charge charge;
  charge.subject.workflow_id = arguments.optional_uuid(0);
  charge.subject.organization_id = arguments.uuid(1, "p_organization_id");
  charge.model = arguments.text(2, "p_model");
  charge.tokens.prompt = arguments.integer(3, "p_prompt_tokens");
  charge.tokens.completion = arguments.integer(4, "p_completion_tokens");
  charge.cost = given_cost(arguments, 5);
  charge.idempotency_key = arguments.optional_uuid(6);
  charge.hold_id = arguments.optional_uuid(7);
  charge.subject.provider = arguments.optional_text(8, "p_provider");
  charge.subject.user_id = arguments.optional_text(9, "p_user_id");
  if (!arguments.is_null(10))
    charge.metadata = pg::json_object_text(arguments.required(10, "p_metadata"), "p_metadata");
  organization::require(charge.subject.organization_id);
  ledger::Entry entry;
  {
    pg::Spi spi;
    entry = ledger::record(charge, GetCurrentTimestamp());
  }
  return pg::ResultRow()
      .add(entry.ledger_id)
      .add(entry.cost)
      .add(entry.total_ai_cost)
      .add_bool(entry.duplicate)
      .add(entry.overrun)
      .finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_increment_workflow_cost) {
  const pg::Arguments arguments(fcinfo);
  const Uuid workflow_id = arguments.uuid(0, "p_workflow_id");
  const Usd amount = arguments.usd(1, "p_amount");
  Usd total;
  {
    pg::Spi spi;
    ledger::Charge charge;
    charge.kind = "adjustment";
    charge.subject.workflow_id = workflow_id;
    charge.subject.organization_id = workflow_cost(workflow_id).organization_id;
    charge.cost = amount;
    const ledger::Entry entry = ledger::record(charge, GetCurrentTimestamp());
    total = entry.total_ai_cost.value();
    if (total.is_negative())
      throw bad_value("An adjustment of " + amount.str() + " USD would leave the workflow at " +
                      total.str() + " USD.")
          .detail(JsonObject()
                      .number("spentUSD", (total - amount).str())
                      .number("amountUSD", amount.str())
                      .str())
          .hint("Take back at most what was spent.");
  }
  return pg::from_usd(total);
}

HOLDFAST_FUNCTION(holdfast_check_workflow_cost_limit) {
  const pg::Arguments arguments(fcinfo);
  const Uuid workflow_id = arguments.uuid(0, "p_workflow_id");
  const Usd estimate = not_negative(arguments.usd(1, "p_estimated_cost"), "p_estimated_cost");
  const std::optional<Usd> given = arguments.optional_usd(2, "p_limit");
  pg::Spi spi;
  const WorkflowCost cost = workflow_cost(workflow_id);
  const std::optional<Usd> limit = given ? given : cost.limit;
  if (!limit || cost.spent + cost.held + estimate <= *limit) return BoolGetDatum(true);
  const Usd run_out = sum_run_out
                          .query(pg::Parameters()
                                     .add(cost.organization_id)
                                     .add(workflow_id)
                                     .add(TimestampTzGetDatum(GetCurrentTimestamp())))[0]
                          .usd(1);
  return BoolGetDatum(cost.spent + cost.held - run_out + estimate <= *limit);
}
