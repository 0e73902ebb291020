// Refunds: a part of a ledger entry taken back by a new entry that points at it.
#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/ledger.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"

using namespace holdfast;

namespace {

constexpr Oid kFindOriginalTypes[] = {UUIDOID, UUIDOID};
pg::Statement find_original(
    "SELECT e.cost + coalesce((SELECT sum(r.cost) FROM holdfast.ai_usage_ledger r"
    "   WHERE r.organization_id = $1 AND r.corrects = $2), 0), e.workflow_id, e.user_id,"
    " e.provider, e.api_key_id, e.community_id, e.tool, e.model"
    " FROM holdfast.ai_usage_ledger e WHERE e.organization_id = $1 AND e.id = $2",
    kFindOriginalTypes);

// The refund of what p_amount says, or of all that is left of the entry.
ledger::Charge refund_of(const Uuid& organization_id, const Uuid& ledger_id,
                         std::optional<Usd> amount) {
  const pg::Rows rows = find_original.run(pg::Parameters().add(organization_id).add(ledger_id));
  if (rows.empty())
    throw not_found("The organization has no ledger entry " + ledger_id.str() + ".")
        .detail(JsonObject().text("ledgerId", ledger_id.str()).str());
  const pg::Row row = rows[0];
  const Usd left = row.usd(1);
  const Usd taken = amount.value_or(left);
  if (taken > left || taken <= Usd())
    throw conflict("Of entry " + ledger_id.str() + " " + left.str() +
                   " USD are left to refund, not " + taken.str() + ".")
        .detail(JsonObject().number("leftUSD", left.str()).number("amountUSD", taken.str()).str())
        .hint("Refund at most what is left of an entry that cost something.");
  ledger::Charge charge;
  charge.kind = "refund";
  charge.cost = -taken;
  charge.corrects = ledger_id;
  charge.subject.organization_id = organization_id;
  charge.subject.workflow_id = row.optional_uuid(2);
  charge.subject.user_id = row.optional_text(3);
  charge.subject.provider = row.optional_text(4);
  charge.subject.api_key_id = row.optional_uuid(5);
  charge.subject.community_id = row.optional_uuid(6);
  charge.subject.tool = row.optional_text(7);
  charge.model = row.optional_text(8);
  return charge;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_refund_usage) {
  const pg::Arguments arguments(fcinfo);
  const Uuid ledger_id = arguments.uuid(0, "p_ledger_id");
  const Uuid organization_id = arguments.uuid(1, "p_organization_id");
  const std::optional<Usd> amount = arguments.optional_usd(2, "p_amount");
  const std::optional<std::string> reason = arguments.optional_text(3, "p_reason");
  organization::require(organization_id);
  ledger::Entry entry;
  {
    pg::Spi spi;
    pg::lock_entry(ledger_id);
    ledger::Charge charge = refund_of(organization_id, ledger_id, amount);
    if (reason) charge.metadata = JsonObject().text("reason", *reason).str();
    entry = ledger::record(charge);
  }
  return pg::ResultRow()
      .add(entry.ledger_id)
      .add(entry.cost)
      .add(entry.total_ai_cost)
      .finish(fcinfo);
}
