// The SQL functions that settle, adjust, and check a workflow's cost.
#include "extension/budget_counter.hpp"
#include "extension/ledger.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/jsonb.hpp"
#include "extension/pg/keyed_row.hpp"
#include "extension/pg/spi.hpp"

using namespace holdfast;

namespace {

// Runs with the rights of the table's owner in the caller's search_path: every name is qualified.
constexpr Oid kRunOutTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement sum_run_out(
    "SELECT coalesce(pg_catalog.sum(amount), 0) FROM holdfast.holds"
    " WHERE organization_id OPERATOR(pg_catalog.=) $1 AND workflow_id OPERATOR(pg_catalog.=) $2"
    " AND status OPERATOR(pg_catalog.=) 'open'::holdfast.hold_status"
    " AND expires_at OPERATOR(pg_catalog.<=) $3",
    kRunOutTypes);

budget::WorkflowCounter workflow_counter(const Uuid& workflow_id) {
  const std::optional<budget::WorkflowCounter> counter = budget::find_workflow_counter(workflow_id);
  if (!counter)
    throw not_found("There is no workflow " + workflow_id.str() + ".")
        .detail(JsonObject().text("workflowId", workflow_id.str()).str())
        .hint("Make one with holdfast.create_workflow().");
  organization::require(counter->organization_id);
  return *counter;
}

Usd run_out(const budget::WorkflowCounter& counter, const Uuid& workflow_id) {
  const pg::ActingAs owner(counter.owner);
  pg::Spi spi;
  return sum_run_out
      .run(pg::Parameters()
               .add(counter.organization_id)
               .add(workflow_id)
               .add(TimestampTzGetDatum(GetCurrentTimestamp())))[0]
      .usd(1);
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
  charge.tokens.cached = arguments.integer(11, "p_cached_tokens");
  charge.tokens.cache_write = arguments.integer(12, "p_cache_write_tokens");
  charge.tokens.reasoning = arguments.integer(13, "p_reasoning_tokens");
  charge.subject.api_key_id = arguments.optional_uuid(14);
  charge.subject.community_id = arguments.optional_uuid(15);
  charge.subject.tool = arguments.optional_text(16, "p_tool");
  organization::require(charge.subject.organization_id);
  ledger::Entry entry;
  {
    pg::Spi spi;
    entry = ledger::record(charge);
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
    charge.subject.organization_id = workflow_counter(workflow_id).organization_id;
    charge.cost = amount;
    const ledger::Entry entry = ledger::record(charge);
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
  const budget::WorkflowCounter counter = workflow_counter(workflow_id);
  const std::optional<Usd> limit = given ? given : counter.row.limit;
  const Usd wanted = counter.row.used() + estimate;
  if (!limit || wanted <= *limit) return BoolGetDatum(true);
  return BoolGetDatum(wanted - run_out(counter, workflow_id) <= *limit);
}

namespace {

constexpr std::uint32_t kMostEntries = 10'000;

// One element of record_usage_batch's p_entries: the parameters of the single call, without p_.
ledger::Charge read_charge(const Uuid& organization_id, JsonbContainer* element) {
  if (element == nullptr)
    throw bad_value("The entry is no JSON object.").hint("See record_usage_and_increment().");
  const pg::JsonbObject object(element);
  ledger::Charge charge;
  charge.subject.organization_id = organization_id;
  charge.subject.workflow_id = object.uuid("workflow_id");
  charge.model = object.text("model");
  if (!charge.model)
    throw bad_value("model is missing.").detail(JsonObject().text("field", "model").str());
  charge.tokens.prompt = object.integer("prompt_tokens").value_or(0);
  charge.tokens.completion = object.integer("completion_tokens").value_or(0);
  charge.tokens.cached = object.integer("cached_tokens").value_or(0);
  charge.tokens.cache_write = object.integer("cache_write_tokens").value_or(0);
  charge.tokens.reasoning = object.integer("reasoning_tokens").value_or(0);
  charge.cost = object.usd("cost");
  if (charge.cost) not_negative(*charge.cost, "cost");
  charge.idempotency_key = object.uuid("idempotency_key");
  charge.hold_id = object.uuid("hold_id");
  charge.subject.provider = object.text("provider");
  charge.subject.user_id = object.text("user_id");
  charge.subject.api_key_id = object.uuid("api_key_id");
  charge.subject.community_id = object.uuid("community_id");
  charge.subject.tool = object.text("tool");
  charge.metadata = object.object_text("metadata");
  return charge;
}

Datum outcome_row(FunctionCallInfo fcinfo, std::int32_t number, const ledger::Outcome& outcome) {
  pg::ResultRow row;
  row.add_int32(number);
  if (outcome.error) {
    for (int i = 0; i < 5; ++i)
      row.null();
    row.text(outcome.error->sqlstate()).text(outcome.error->message());
    if (outcome.error->detail().empty())
      row.null();
    else
      row.add(pg::from_jsonb_text(outcome.error->detail()));
    return row.finish(fcinfo);
  }
  const ledger::Entry& entry = outcome.entry;
  row.add(entry.ledger_id).add(entry.cost).add(entry.total_ai_cost);
  row.add_bool(entry.duplicate).add(entry.overrun).null().null().null();
  return row.finish(fcinfo);
}

std::vector<ledger::Outcome> record_batch(const Uuid& organization_id, Datum entries) {
  const std::vector<JsonbContainer*> elements =
      pg::array_objects(entries, "p_entries", kMostEntries);
  std::vector<ledger::Outcome> outcomes(elements.size());
  std::vector<ledger::Charge> charges;
  std::vector<std::size_t> position_of;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    outcomes[i].error = pg::caught([&] {
      charges.push_back(read_charge(organization_id, elements[i]));
      position_of.push_back(i);
    });
  }
  pg::Spi spi;
  const std::vector<ledger::Outcome> recorded =
      ledger::record(organization_id, charges.data(), charges.size());
  for (std::size_t i = 0; i < recorded.size(); ++i)
    outcomes[position_of[i]] = recorded[i];
  return outcomes;
}

std::vector<Datum> batch_rows(FunctionCallInfo fcinfo) {
  const pg::Arguments arguments(fcinfo);
  const Uuid organization_id = arguments.uuid(0, "p_organization_id");
  organization::require(organization_id);
  const std::vector<ledger::Outcome> outcomes =
      record_batch(organization_id, arguments.required(1, "p_entries"));
  std::vector<Datum> rows;
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    rows.push_back(outcome_row(fcinfo, static_cast<std::int32_t>(i) + 1, outcomes[i]));
  return rows;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_record_usage_batch) {
  return pg::return_rows(fcinfo, batch_rows);
}
