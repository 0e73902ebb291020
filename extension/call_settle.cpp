// Ending a governed call: settled with what it used, or released when it cost nothing.
#include "extension/alert.hpp"
#include "extension/audit.hpp"
#include "extension/call_key.hpp"
#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/ledger.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"
#include "extension/provider_health.hpp"
#include "extension/telemetry.hpp"

using namespace holdfast;

namespace {

// How the provider did, where the caller says so: p_provider_ok, p_latency_ms and p_trial are the
// arguments from `first` on.
void report_provider(const pg::Arguments& arguments, int first,
                     const std::optional<std::string>& provider) {
  if (!provider_health::is_watched() || !provider) return;
  const std::int64_t trial =
      arguments.is_null(first + 2) ? 0 : DatumGetInt64(arguments.required(first + 2, "p_trial"));
  if (!arguments.is_null(first) && !arguments.is_null(first + 1))
    provider_health::report(*provider, arguments.boolean(first, "p_provider_ok"),
                            std::max(arguments.integer(first + 1, "p_latency_ms"), 0), trial);
  else if (trial > 0)
    provider_health::give_back(*provider, trial);
}

// What settles a governed call.
struct Settlement {
  ledger::Charge charge;
  std::optional<call_key::Key> call_key;
};

// Everything but the usage is known from the hold.
Settlement read_settlement(const pg::Arguments& arguments) {
  Settlement settlement;
  ledger::Charge& charge = settlement.charge;
  charge.subject.organization_id = arguments.uuid(0, "p_organization_id");
  const Uuid hold_id = arguments.uuid(1, "p_hold_id");
  charge.hold_id = hold_id;
  charge.idempotency_key = hold_id; // a call is settled once, however often this is repeated
  charge.model = arguments.text(2, "p_model");
  charge.tokens.prompt = arguments.integer(3, "p_prompt_tokens");
  charge.tokens.completion = arguments.integer(4, "p_completion_tokens");
  charge.tokens.cached = arguments.integer(5, "p_cached_tokens");
  charge.tokens.cache_write = arguments.integer(6, "p_cache_write_tokens");
  charge.tokens.reasoning = arguments.integer(7, "p_reasoning_tokens");
  charge.estimated = arguments.boolean(8, "p_estimated");
  charge.reported_cost = arguments.optional_usd(9, "p_reported_cost");
  if (!arguments.is_null(12))
    charge.metadata = pg::json_object_text(arguments.required(12, "p_metadata"), "p_metadata");
  charge.fallback_used = arguments.boolean(16, "p_fallback_used");
  const std::optional<budget::HeldCall> held =
      budget::find_held_call(charge.subject.organization_id, hold_id);
  if (!held)
    throw not_found("The organization has no hold " + hold_id.str() + ".")
        .detail(JsonObject().text("holdId", hold_id.str()).str());
  charge.subject = held->subject;
  charge.as_held = true;
  if (held->call_key)
    settlement.call_key = call_key::Key{charge.subject.organization_id, *held->call_key};
  return settlement;
}

void count_charge(const ledger::Charge& charge, Usd cost) {
  const std::int64_t tokens = charge.tokens.prompt + charge.tokens.completion;
  if (charge.subject.provider) telemetry::count_charge(*charge.subject.provider, tokens, cost);
}

// p_metadata and p_latency_ms are the arguments `metadata` and `latency`.
void audit_end(const pg::Arguments& arguments, audit::Entry& entry, int metadata, int latency) {
  if (!arguments.is_null(latency)) entry.latency_ms = arguments.integer(latency, "p_latency_ms");
  if (arguments.is_null(metadata))
    audit::record(entry);
  else
    audit::record(entry, arguments.required(metadata, "p_metadata"));
}

audit::Entry entry_of(const char* event, const Uuid& hold_id, const budget::Subject& subject) {
  audit::Entry entry;
  entry.organization_id = subject.organization_id;
  entry.event = event;
  entry.hold_id = hold_id;
  entry.workflow_id = subject.workflow_id;
  entry.user_id = subject.user_id;
  entry.api_key_id = subject.api_key_id;
  entry.provider = subject.provider;
  return entry;
}

void audit_settlement(const pg::Arguments& arguments, const ledger::Charge& charge, Usd cost) {
  audit::Entry entry = entry_of("settled", *charge.hold_id, charge.subject);
  if (!arguments.is_null(10)) entry.status = arguments.integer(10, "p_answer_status");
  entry.model = charge.model;
  entry.prompt_tokens = charge.tokens.prompt;
  entry.completion_tokens = charge.tokens.completion;
  entry.cost = cost;
  entry.fallback_used = charge.fallback_used;
  if (audit::keeps_bodies(entry.organization_id)) {
    if (!arguments.is_null(17))
      entry.request_body = pg::to_text(arguments.required(17, "p_request"));
    if (!arguments.is_null(11))
      entry.response_body = pg::to_text(arguments.required(11, "p_answer"));
  }
  audit_end(arguments, entry, 12, 14);
}

} // namespace

HOLDFAST_FUNCTION(holdfast_settle_call) {
  const pg::Arguments arguments(fcinfo);
  organization::require(arguments.uuid(0, "p_organization_id"));
  ledger::Entry entry;
  std::optional<Usd> remaining;
  {
    pg::Spi spi;
    const Settlement settlement = read_settlement(arguments);
    entry = ledger::record(settlement.charge);
    if (settlement.call_key && !arguments.is_null(10))
      call_key::keep_answer(*settlement.call_key, *settlement.charge.hold_id,
                            arguments.integer(10, "p_answer_status"),
                            arguments.required(11, "p_answer"));
    remaining = budget::remaining_for(settlement.charge.subject, GetCurrentTimestamp());
    if (!entry.duplicate) {
      report_provider(arguments, 13, settlement.charge.subject.provider);
      count_charge(settlement.charge, entry.cost);
      alert::check_reported_cost(settlement.charge, entry, GetCurrentTimestamp());
      audit_settlement(arguments, settlement.charge, entry.cost);
    }
  }
  return pg::ResultRow()
      .add(entry.ledger_id)
      .add(entry.cost)
      .add(entry.total_ai_cost)
      .add_bool(entry.duplicate)
      .add(entry.overrun)
      .add(remaining)
      .finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_release_call) {
  const pg::Arguments arguments(fcinfo);
  const Uuid organization_id = arguments.uuid(0, "p_organization_id");
  const Uuid hold_id = arguments.uuid(1, "p_hold_id");
  organization::require(organization_id);
  const TimestampTz now = GetCurrentTimestamp();
  pg::Spi spi;
  const std::optional<budget::EndedHold> hold = budget::release(organization_id, hold_id, now);
  if (!hold) return BoolGetDatum(false);
  report_provider(arguments, 2, hold->subject.provider);
  if (hold->call_key) call_key::forget({organization_id, *hold->call_key}, hold_id);
  audit::Entry entry = entry_of("released", hold_id, hold->subject);
  if (!arguments.is_null(6)) entry.status = arguments.integer(6, "p_answer_status");
  audit_end(arguments, entry, 5, 3);
  return BoolGetDatum(true);
}
