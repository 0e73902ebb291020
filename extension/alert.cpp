// Alerts about costs: what a provider says it charged beside what was counted.
#include "extension/alert.hpp"

#include "extension/core/json_object.hpp"
#include "extension/events.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::alert {

namespace {

// Providers round: less than one in a hundred is no drift, more than thirty is a wrong price.
constexpr Int128 kNoticeablePercent = 1;
constexpr Int128 kSeverePercent = 30;

constexpr Oid kInsertTypes[] = {UUIDOID,    TEXTOID,    TEXTOID, TEXTOID, DATEOID,
                                NUMERICOID, NUMERICOID, TEXTOID, JSONBOID};
pg::Statement insert_drift(
    "INSERT INTO holdfast.ai_cost_alerts (organization_id, alert_type, severity,"
    " provider, model, day, threshold_value, actual_value, message, metadata)"
    " SELECT $1, 'drift', $2, $3, $4, $5, $6, $7, $8, $9"
    " WHERE NOT EXISTS (SELECT FROM holdfast.ai_cost_alerts WHERE organization_id = $1"
    "   AND alert_type = 'drift' AND provider = $3 AND model = $4 AND day = $5 AND severity = $2)"
    " ON CONFLICT DO NOTHING",
    kInsertTypes);

bool differs_by(Usd ours, Usd theirs, Int128 percent) {
  const Int128 apart = (theirs - ours).units();
  return (apart < 0 ? -apart : apart) * 100 > ours.units() * percent;
}

} // namespace

void check_reported_cost(const ledger::Charge& charge, const ledger::Entry& entry,
                         TimestampTz now) {
  if (entry.duplicate || !charge.reported_cost || charge.estimated) return;
  const Usd theirs = *charge.reported_cost;
  if (!differs_by(entry.cost, theirs, kNoticeablePercent)) return;
  const char* severity = differs_by(entry.cost, theirs, kSeverePercent) ? "warning" : "info";
  const std::string provider = charge.subject.provider.value_or("");
  const std::string model = charge.model.value_or("");
  const std::string message = "The provider " + provider + " says that a call of " + model +
                              " cost " + theirs.str() + " USD; by its price it costs " +
                              entry.cost.str() + " USD.";
  const std::string metadata = JsonObject().text("ledgerId", entry.ledger_id.str()).str();
  const pg::Rows rows = insert_drift.run(pg::Parameters()
                                             .add(charge.subject.organization_id)
                                             .text(severity)
                                             .text(provider)
                                             .text(model)
                                             .date(pg::utc_day(now))
                                             .add(entry.cost)
                                             .add(theirs)
                                             .text(message)
                                             .add(pg::from_jsonb_text(metadata)));
  if (rows.size() == 0 || !events::is_wanted(events::Kind::alert)) return;
  events::send(events::Kind::alert, charge.subject.organization_id,
               JsonObject()
                   .text("alertType", "drift")
                   .text("severity", severity)
                   .text("provider", provider)
                   .text("model", model)
                   .number("thresholdValue", entry.cost.str())
                   .number("actualValue", theirs.str()));
}

} // namespace holdfast::alert
