// The attempts of one governed call: when one has failed, its hold becomes the next one's.
#include "extension/audit.hpp"
#include "extension/call_key.hpp"
#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/ledger.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"
#include "extension/pricing.hpp"
#include "extension/provider_health.hpp"
#include "extension/rate_limit.hpp"
#include "extension/telemetry.hpp"

using namespace holdfast;

namespace {

constexpr Oid kFindTypes[] = {UUIDOID, UUIDOID};
pg::Statement find_hold("SELECT workflow_id, user_id, provider, call_key, api_key_id, community_id,"
                        " tool, model, amount, status::text FROM holdfast.holds"
                        " WHERE organization_id = $1 AND hold_id = $2 FOR UPDATE",
                        kFindTypes);

// One call of next_attempt.
struct Next {
  Uuid organization_id;
  Uuid hold_id;     // of the attempt that has failed
  Uuid new_hold_id; // of the next one
  std::string provider;
  std::string model;
  std::int32_t prompt_tokens = 0;
  std::int32_t completion_tokens = 0;
  TimestampTz expires_at = 0;
  bool sized_by_estimate = false;
  std::optional<Tokens> used; // by the attempt that has failed, as far as it is known
  bool was_fallback = false;
  std::optional<std::string> metadata;
  std::optional<bool> provider_ok; // how the failed one's provider did
  std::int32_t latency_ms = 0;
  std::int64_t trial = 0;
};

// The hold as it was taken.
struct Before {
  budget::Subject subject;
  std::optional<std::string> call_key;
  std::string model;
  Usd amount;
  bool has_ended = false; // this is a repeat
};

Next read_next(const pg::Arguments& arguments, TimestampTz now) {
  Next next;
  next.organization_id = arguments.uuid(0, "p_organization_id");
  next.hold_id = arguments.uuid(1, "p_hold_id");
  next.new_hold_id = arguments.uuid(2, "p_new_hold_id");
  next.provider = arguments.text(3, "p_provider");
  next.model = arguments.text(4, "p_model");
  next.prompt_tokens = arguments.integer(5, "p_prompt_tokens");
  next.completion_tokens = arguments.integer(6, "p_completion_tokens");
  next.expires_at = arguments.expiry(7, "p_ttl", now);
  next.sized_by_estimate = arguments.text(8, "p_sizing") == "estimate";
  check_tokens({next.prompt_tokens, next.completion_tokens, 0, 0, 0});
  if (!arguments.is_null(9)) {
    next.used = Tokens{arguments.integer(9, "p_used_prompt_tokens"),
                       arguments.integer(10, "p_used_completion_tokens"), 0, 0, 0};
    check_tokens(*next.used);
  }
  next.was_fallback = arguments.boolean(11, "p_fallback_used");
  if (!arguments.is_null(12))
    next.metadata = pg::json_object_text(arguments.required(12, "p_metadata"), "p_metadata");
  if (!arguments.is_null(13) && !arguments.is_null(14)) {
    next.provider_ok = arguments.boolean(13, "p_provider_ok");
    next.latency_ms = std::max(arguments.integer(14, "p_latency_ms"), 0);
  }
  if (!arguments.is_null(15)) next.trial = DatumGetInt64(arguments.required(15, "p_trial"));
  return next;
}

void report_provider(const Next& next, const Before& before) {
  if (!provider_health::is_watched() || !before.subject.provider) return;
  if (next.provider_ok)
    provider_health::report(*before.subject.provider, *next.provider_ok, next.latency_ms,
                            next.trial);
  else if (next.trial > 0)
    provider_health::give_back(*before.subject.provider, next.trial);
}

pg::Row locked_hold(const Uuid& organization_id, const Uuid& hold_id) {
  const pg::Rows rows = find_hold.run(pg::Parameters().add(organization_id).add(hold_id));
  if (!rows.empty()) return rows[0];
  throw not_found("The organization has no hold " + hold_id.str() + ".")
      .detail(JsonObject().text("holdId", hold_id.str()).str());
}

Before find_before(const Next& next) {
  const pg::Row row = locked_hold(next.organization_id, next.hold_id);
  Before before;
  before.subject.organization_id = next.organization_id;
  before.subject.workflow_id = row.optional_uuid(1);
  before.subject.user_id = row.optional_text(2);
  before.subject.provider = row.optional_text(3);
  before.call_key = row.optional_text(4);
  before.subject.api_key_id = row.optional_uuid(5);
  before.subject.community_id = row.optional_uuid(6);
  before.subject.tool = row.optional_text(7);
  before.model = row.optional_text(8).value_or(next.model);
  before.amount = row.usd(9);
  const std::string status = row.text(10);
  before.has_ended = status == "settled" || status == "released";
  return before;
}

// Settles what the failed attempt is known to have used, else gives its hold back.
std::optional<Usd> end_attempt(const Next& next, const Before& before, TimestampTz now) {
  if (next.used) {
    ledger::Charge charge;
    charge.subject = before.subject;
    charge.model = before.model;
    charge.tokens = *next.used;
    charge.idempotency_key = next.hold_id;
    charge.hold_id = next.hold_id;
    charge.estimated = true;
    charge.fallback_used = next.was_fallback;
    charge.metadata = next.metadata;
    return ledger::record(charge).cost;
  }
  budget::release(next.organization_id, next.hold_id, now);
  return std::nullopt;
}

budget::HoldResult hold_next(const Next& next, const Before& before, TimestampTz now) {
  const Price& price = pricing::book().find(next.provider, next.model, pg::utc_day(now));
  budget::HoldRequest request;
  request.subject = before.subject;
  request.subject.provider = next.provider;
  request.model = next.model;
  request.call_key = before.call_key;
  request.idempotency_key = next.new_hold_id;
  request.expires_at = next.expires_at;
  request.amount = next.sized_by_estimate
                       ? before.amount
                       : cost_bound(price, next.prompt_tokens, next.completion_tokens);
  budget::HoldResult hold = budget::take_hold(request, now, true);
  if (hold.reservation.granted) return hold;
  const budget::Figures& figures = hold.reservation.figures;
  throw Error("PT402", "The " + figures.scope + " limit has no room for another attempt.")
      .detail(JsonObject()
                  .text("scope", figures.scope)
                  .number("requestedUSD", request.amount.str())
                  .number("spentUSD", figures.spent.str())
                  .number("heldUSD", figures.held.str())
                  .str())
      .hint("The call is still open: settle or release it.");
}

void audit_attempt(const pg::Arguments& arguments, const Next& next, const Before& before,
                   std::optional<Usd> cost) {
  audit::Entry entry;
  entry.organization_id = next.organization_id;
  entry.event = "attempt_failed";
  entry.hold_id = next.hold_id;
  entry.workflow_id = before.subject.workflow_id;
  entry.user_id = before.subject.user_id;
  entry.api_key_id = before.subject.api_key_id;
  entry.provider = before.subject.provider;
  entry.model = before.model;
  if (next.used) {
    entry.prompt_tokens = next.used->prompt;
    entry.completion_tokens = next.used->completion;
  }
  entry.cost = cost;
  if (next.provider_ok) entry.latency_ms = next.latency_ms;
  entry.fallback_used = next.was_fallback;
  if (arguments.is_null(12))
    audit::record(entry);
  else
    audit::record(entry, arguments.required(12, "p_metadata"));
}

// Every attempt is one more call of its provider: it counts on the provider's rate limit and passes
// its breaker. What keeps it from being made, if anything does.
struct Admission {
  std::int64_t trial = 0;
  std::optional<Error> refusal;
};

Admission admit_attempt(const Uuid& organization_id, const std::string& provider,
                        std::int64_t tokens) {
  if (rate_limit::is_on()) {
    rate_limit::Request request;
    request.organization_id = organization_id;
    request.provider = provider;
    request.tokens = static_cast<std::int32_t>(std::min<std::int64_t>(tokens, PG_INT32_MAX));
    const rate_limit::Decision decision = rate_limit::decide(request);
    if (!decision.allowed)
      return {0, Error("PT429", "The rate limit of provider " + provider + " is reached.")
                     .detail(JsonObject()
                                 .text("provider", provider)
                                 .number("retryAfterMs",
                                         static_cast<long long>(decision.retry_after_ms))
                                 .str())
                     .hint("The call is still open: settle or release it.")};
  }
  if (!provider_health::is_watched()) return {};
  const Breaker::Admission admission = provider_health::admit(provider);
  if (admission.admitted) return {admission.trial, {}};
  return {0, provider_health::refusal(provider, provider_health::wait_ms(provider).value_or(1000))};
}

} // namespace

HOLDFAST_FUNCTION(holdfast_retry_attempt) {
  const pg::Arguments arguments(fcinfo);
  const Uuid organization_id = arguments.uuid(0, "p_organization_id");
  Next next;
  next.prompt_tokens = arguments.integer(2, "p_prompt_tokens");
  next.completion_tokens = arguments.integer(3, "p_completion_tokens");
  check_tokens({next.prompt_tokens, next.completion_tokens, 0, 0, 0});
  next.provider_ok = arguments.boolean(4, "p_provider_ok");
  next.latency_ms = std::max(arguments.integer(5, "p_latency_ms"), 0);
  if (!arguments.is_null(6)) next.trial = DatumGetInt64(arguments.required(6, "p_trial"));
  organization::require(organization_id);
  Admission admission;
  {
    pg::Spi spi;
    Before before;
    before.subject.provider =
        locked_hold(organization_id, arguments.uuid(1, "p_hold_id")).optional_text(3);
    report_provider(next, before);
    if (before.subject.provider)
      admission = admit_attempt(organization_id, *before.subject.provider,
                                std::int64_t{next.prompt_tokens} + next.completion_tokens);
  }
  pg::ResultRow row;
  row.add_bool(!admission.refusal);
  if (admission.trial > 0)
    row.add(Int64GetDatum(admission.trial));
  else
    row.null();
  return row.finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_next_attempt) {
  const pg::Arguments arguments(fcinfo);
  const TimestampTz now = GetCurrentTimestamp();
  const Next next = read_next(arguments, now);
  organization::require(next.organization_id);
  std::optional<Usd> cost;
  budget::HoldResult hold;
  Admission admission;
  {
    pg::Spi spi;
    budget::pin_budgets(next.organization_id);
    const Before before = find_before(next);
    budget::Subject after = before.subject;
    after.provider = next.provider;
    // What one attempt gives back is locked before what the next one takes only if all is at once.
    budget::lock_counters(next.organization_id, next.hold_id, before.subject, after, now);
    cost = end_attempt(next, before, now);
    hold = hold_next(next, before, now);
    if (!before.has_ended) { // else this is a repeat
      admission = admit_attempt(next.organization_id, next.provider,
                                std::int64_t{next.prompt_tokens} + next.completion_tokens);
      if (admission.refusal) throw Error(*admission.refusal);
    }
    report_provider(next, before);
    if (before.call_key)
      call_key::move({next.organization_id, *before.call_key}, next.hold_id, next.new_hold_id);
    if (!before.has_ended) {
      telemetry::count_fallback(before.subject.provider.value_or(""), next.provider);
      audit_attempt(arguments, next, before, cost);
    }
  }
  pg::ResultRow row;
  row.add(hold.hold_id).add(cost).add_time(hold.expires_at);
  if (admission.trial > 0)
    row.add(Int64GetDatum(admission.trial));
  else
    row.null();
  return row.finish(fcinfo);
}
