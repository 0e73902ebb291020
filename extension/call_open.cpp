// Opening a governed call: everything that is decided before the provider is asked, in one
// statement.
#include "extension/approval.hpp"
#include "extension/audit.hpp"
#include "extension/call_key.hpp"
#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/ledger.hpp"
#include "extension/organization.hpp"
#include "extension/organization_setting.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"
#include "extension/pricing.hpp"
#include "extension/provider_health.hpp"
#include "extension/rate_limit.hpp"
#include "extension/routing.hpp"
#include "extension/telemetry.hpp"

#include <algorithm>

using namespace holdfast;

namespace {

// What a client is told to wait before it repeats a call that is in flight.
constexpr std::int32_t kRetryAfterMs = 1000;

constexpr Oid kPastCostTypes[] = {UUIDOID, INT4OID};
pg::Statement past_costs(
    "SELECT CASE WHEN count(*) >= 20 THEN percentile_disc(0.95) WITHIN GROUP (ORDER BY cost) END"
    " FROM (SELECT cost, price_id FROM holdfast.ai_usage_ledger WHERE organization_id = $1"
    "       AND NOT cache_hit ORDER BY id DESC LIMIT 1000) recent WHERE price_id = $2",
    kPastCostTypes);

// One call of open_call.
struct Opening {
  std::optional<Usd> approve_above; // a dearer call waits for an approval
  Uuid organization_id;
  std::string key_hash;
  std::string model;
  std::int32_t prompt_tokens = 0;
  std::int32_t completion_tokens = 0;
  std::int32_t most_fallbacks = 0;
  std::optional<std::string> provider;
  std::vector<std::string> providers;
  std::optional<Uuid> workflow_id;
  std::optional<std::string> user_id;
  std::optional<call_key::Key> call_key;
  std::string fingerprint;
  TimestampTz expires_at = 0;
  std::string sizing; // strict, clamp, estimate
  std::optional<Uuid> community_id;
  std::optional<std::string> tool;
  std::optional<Datum> ip;
  std::optional<std::string> route;
  std::vector<std::string> models; // one for each of `providers`; without, `model` for all
  std::string routing;             // cheapest, fastest, specified
  std::vector<std::string> capabilities;
  audit::Ids ids;
  std::optional<Uuid> approval_id;
  std::optional<Uuid> hold_id; // of the caller's choice
};

// Its result row.
struct Opened {
  // granted, denied, limited, replay, in_flight, approval_required, failed
  std::string outcome;
  budget::HoldResult hold;
  std::string provider;
  std::string model;
  std::optional<Usd> estimate;
  std::int32_t completion_tokens = 0; // at most so many are to be asked for
  budget::Advice advice;
  std::optional<std::string> user_id;
  std::optional<std::int32_t> retry_after_ms;
  std::optional<std::int32_t> answer_status;
  std::optional<std::string> answer;
  std::optional<Usd> first_cost; // what the call that is replayed cost
  rate_limit::Decision rate;
  std::int64_t trial = 0;             // of the provider's circuit breaker
  std::optional<std::string> routing; // JSON
  bool redact = false;                // the provider is to get a redacted prompt
  bool keeps_bodies = false;          // the audit log wants them with the settlement
  bool caches_all = false;            // the organization wants answers kept, asked or not
  bool scoped_budgets = true;         // it has others than its month's and its workflows'
  std::optional<approval::Approval> approval;
};

constexpr std::int32_t kMostFallbacks = 10;
constexpr std::int32_t kAccepted = 202;
constexpr std::int32_t kPaymentRequired = 402;
constexpr std::int32_t kConflict = 409;

void read_routing(const pg::Arguments& arguments, Opening& call) {
  if (!arguments.is_null(17)) call.models = pg::to_texts(arguments.required(17, "p_models"));
  if (!call.models.empty() && call.models.size() != call.providers.size())
    throw bad_value("p_models must name one model for each of p_providers.")
        .detail(JsonObject().text("field", "p_models").str());
  call.routing = arguments.text(18, "p_routing");
  if (call.routing != "cheapest" && call.routing != "fastest" && call.routing != "specified")
    throw bad_value("There is no routing \"" + call.routing + "\".")
        .detail(JsonObject().text("field", "p_routing").str())
        .hint("Routings are cheapest, fastest and specified.");
  call.most_fallbacks = arguments.integer(19, "p_fallbacks");
  if (call.most_fallbacks < 0 || call.most_fallbacks > kMostFallbacks)
    throw bad_value("p_fallbacks is " + std::to_string(call.most_fallbacks) + ", outside 0 to 10.")
        .detail(JsonObject().text("field", "p_fallbacks").str());
  if (!arguments.is_null(20))
    call.capabilities = pg::to_texts(arguments.required(20, "p_capabilities"));
}

Opening read_opening(const pg::Arguments& arguments, TimestampTz now) {
  Opening call;
  call.organization_id = arguments.uuid(0, "p_organization_id");
  call.key_hash = pg::to_bytes(arguments.required(1, "p_key_hash"));
  call.model = arguments.text(2, "p_model");
  call.prompt_tokens = arguments.integer(3, "p_prompt_tokens");
  call.completion_tokens = arguments.integer(4, "p_completion_tokens");
  call.provider = arguments.optional_text(5, "p_provider");
  if (!arguments.is_null(6)) call.providers = pg::to_texts(arguments.required(6, "p_providers"));
  call.workflow_id = arguments.optional_uuid(7);
  call.user_id = arguments.optional_text(8, "p_user_id");
  if (const auto name = arguments.optional_text(9, "p_idempotency_key"))
    call.call_key = call_key::Key{call.organization_id, *name};
  call.approve_above = arguments.optional_usd(23, "p_approve_above");
  call.approval_id = arguments.optional_uuid(24);
  if (call.call_key || call.approve_above || call.approval_id || !arguments.is_null(10))
    call.fingerprint = pg::to_bytes(arguments.required(10, "p_fingerprint"));
  call.expires_at = arguments.expiry(11, "p_ttl", now);
  call.sizing = arguments.text(12, "p_sizing");
  if (call.sizing != "strict" && call.sizing != "clamp" && call.sizing != "estimate")
    throw bad_value("There is no hold sizing \"" + call.sizing + "\".")
        .detail(JsonObject().text("field", "p_sizing").str())
        .hint("Sizings are strict, clamp and estimate.");
  call.community_id = arguments.optional_uuid(13);
  call.tool = arguments.optional_text(14, "p_tool");
  if (!arguments.is_null(15)) call.ip = arguments.required(15, "p_ip");
  call.route = arguments.optional_text(16, "p_route");
  read_routing(arguments, call);
  call.ids.request_id = arguments.optional_uuid(21);
  call.ids.correlation_id = arguments.optional_text(22, "p_correlation_id");
  call.hold_id = arguments.optional_uuid(25);
  check_tokens({call.prompt_tokens, call.completion_tokens, 0, 0, 0});
  return call;
}

// The approval that the call presents. It is made under the approval's own idempotency key where it
// has none, and under no other than the first time.
approval::Approval present_approval(Opening& call) {
  approval::Approval approval = approval::present(
      {call.organization_id, *call.approval_id, call.fingerprint, call.workflow_id});
  if (!call.call_key)
    call.call_key = call_key::Key{call.organization_id, "approval:" + call.approval_id->str()};
  if (approval.used_key && *approval.used_key != call.call_key->name)
    throw conflict("The approved call was made before, under another Idempotency-Key.")
        .detail(JsonObject()
                    .text("code", "approval_used")
                    .text("approvalId", call.approval_id->str())
                    .str())
        .hint("Repeat it under the same key to get its answer.");
  return approval;
}

// What the repeat of an earlier call is answered.
Opened repeated(call_key::Earlier earlier) {
  Opened opened;
  opened.outcome = earlier.in_flight ? "in_flight" : "replay";
  if (earlier.in_flight) opened.retry_after_ms = kRetryAfterMs;
  opened.answer_status = earlier.answer_status;
  opened.answer = std::move(earlier.answer);
  opened.first_cost = earlier.cost;
  return opened;
}

// Vectors of another model are of no use beside those of the first, so no budget downgrades them.
bool keeps_its_model(const Opening& call) {
  const auto& asked = call.capabilities;
  return std::find(asked.begin(), asked.end(), "embeddings") != asked.end();
}

// A budget's downgrade asks for its model wherever that can be had.
routing::Wish wish_of(const Opening& call, const organization::Key& key,
                      const std::optional<std::string>& downgrade_model) {
  routing::Wish wish;
  wish.key = &key;
  wish.strategy = call.routing;
  wish.names_first = call.provider.has_value();
  wish.capabilities = call.capabilities;
  wish.most_fallbacks = call.most_fallbacks;
  wish.prompt_tokens = call.prompt_tokens;
  wish.completion_tokens = call.completion_tokens;
  const std::string& model = downgrade_model ? *downgrade_model : call.model;
  if (call.provider) wish.candidates.push_back({*call.provider, model});
  // One that is named stands alone unless others are asked to stand in for it.
  if (call.provider && call.most_fallbacks == 0) return wish;
  for (std::size_t i = 0; i < call.providers.size(); ++i)
    wish.candidates.push_back(
        {call.providers[i], downgrade_model || call.models.empty() ? model : call.models[i]});
  if (wish.candidates.empty()) wish.candidates.push_back({"", model});
  return wish;
}

// What such calls have cost so far, nine out of ten and half of the rest; nullopt when there were
// too few of them to tell.
std::optional<Usd> usual_cost(const Uuid& organization_id, const Price& price) {
  const pg::Rows rows =
      past_costs.run(pg::Parameters().add(organization_id).add_int32(price.price_id));
  return rows[0].optional_usd(1);
}

// Lowers the completion to what is left of whichever budget refuses, until all of them grant it.
budget::HoldResult take_clamped_hold(const Opening& call, const Price& price,
                                     budget::HoldRequest& request, Opened& opened,
                                     TimestampTz now) {
  for (;;) { // ends: the completion becomes smaller each time
    budget::HoldResult hold = budget::take_hold(request, now, true);
    if (hold.reservation.granted) return hold;
    const Usd left = hold.reservation.figures.remaining().value_or(Usd());
    const std::int64_t fits =
        completion_within(price, call.prompt_tokens, left, opened.completion_tokens);
    if (fits <= 0 || fits >= opened.completion_tokens) return budget::take_hold(request, now);
    opened.completion_tokens = static_cast<std::int32_t>(fits);
    request.amount = cost_bound(price, call.prompt_tokens, fits);
  }
}

// Takes the hold in the size that the caller's policy says.
budget::HoldResult take_sized_hold(const Opening& call, routing::Route& route,
                                   budget::HoldRequest& request, Opened& opened, TimestampTz now) {
  const Price& price = *route.chain.front().price;
  const Usd worst = route.chain.front().bound;
  if (call.sizing != "estimate" && worst < route.dearest()) {
    // Covers whoever of the chain answers; where that is too much, the dearer do not stand in.
    request.amount = route.dearest();
    opened.estimate = request.amount;
    budget::HoldResult whole = budget::take_hold(request, now, true);
    if (whole.reservation.granted) return whole;
    route.keep_within(worst);
  }
  request.amount = worst;
  if (call.sizing == "estimate")
    request.amount = std::min(worst, usual_cost(call.organization_id, price).value_or(worst));
  budget::HoldResult hold = call.sizing == "clamp"
                                ? take_clamped_hold(call, price, request, opened, now)
                                : budget::take_hold(request, now);
  opened.estimate = request.amount;
  return hold;
}

// What is to be held for the first of the chain. The usual cost is looked up only where it counts.
Usd estimate_of(const Opening& call, const routing::Route& route, Usd threshold) {
  const routing::Link& first = route.chain.front();
  if (call.sizing != "estimate" || first.bound <= threshold) return first.bound;
  return std::min(first.bound,
                  usual_cost(call.organization_id, *first.price).value_or(first.bound));
}

// Whether the call may be made without an admin's word, or has it. Who would be too dear does not
// stand in for another.
bool is_approved(const Opening& call, const organization::Key& key, routing::Route& route,
                 Opened& opened, TimestampTz now) {
  const auto threshold = approval::threshold(call.organization_id, call.approve_above);
  if (!threshold) return true;
  const Usd allowed =
      opened.approval ? std::max(opened.approval->estimate, *threshold) : *threshold;
  const Usd estimate = estimate_of(call, route, allowed);
  if (estimate <= allowed) {
    if (call.sizing != "estimate") route.keep_within(allowed);
    return true;
  }
  if (opened.approval)
    throw conflict("The call may now cost " + estimate.str() + " USD, and only " + allowed.str() +
                   " USD were approved.")
        .detail(JsonObject()
                    .text("code", "approval_mismatch")
                    .number("estimatedCostUSD", estimate.str())
                    .number("approvedUSD", allowed.str())
                    .str())
        .hint("Send the request without the approval, and have it approved anew.");
  if (call.fingerprint.empty())
    throw bad_value("A call that may need approval needs p_fingerprint.");
  opened.estimate = estimate;
  opened.approval =
      approval::ask({call.organization_id, key.api_key_id, opened.user_id, call.workflow_id,
                     call.route, call.ids, call.fingerprint, opened.provider, opened.model,
                     call.prompt_tokens, call.completion_tokens, estimate, *threshold},
                    now);
  opened.outcome = "approval_required";
  return false;
}

// Counts the call on the rate limits; whether they let it through. Not preloaded, there are none.
bool is_within_limits(const Opening& call, const organization::Key& key, Opened& opened,
                      const std::optional<std::string>& provider) {
  if (!rate_limit::is_on()) return true;
  rate_limit::Request request;
  request.organization_id = call.organization_id;
  request.user_id = opened.user_id;
  request.ip = call.ip;
  request.api_key_id = key.api_key_id;
  request.key_requests = key.requests_per_minute;
  request.key_tokens = key.tokens_per_minute;
  request.provider = provider;
  request.route = call.route;
  request.workflow_id = call.workflow_id;
  request.ids = call.ids;
  const std::int64_t tokens = std::int64_t{call.prompt_tokens} + call.completion_tokens;
  request.tokens = static_cast<std::int32_t>(std::min<std::int64_t>(tokens, PG_INT32_MAX));
  opened.rate = rate_limit::decide(request);
  if (opened.rate.allowed) return true;
  opened.outcome = "limited";
  opened.retry_after_ms = opened.rate.retry_after_ms;
  return false;
}

// Lets the call through the provider's breaker, which may have opened since it was looked at.
void pass_breaker(Opened& opened) {
  if (!provider_health::is_watched()) return;
  const Breaker::Admission admission = provider_health::admit(opened.provider);
  if (!admission.admitted)
    throw provider_health::refusal(
        opened.provider, provider_health::wait_ms(opened.provider).value_or(kRetryAfterMs));
  opened.trial = admission.trial;
}

// A refused call has done nothing that could be repeated.
void forget_key(const Opening& call, const Uuid& hold_id) {
  if (call.call_key) call_key::forget(*call.call_key, hold_id);
}

// A call that is not opened is on record all the same. One that a rate limit refused is already.
void audit_opening(const Opening& call, const Uuid& api_key_id, const Opened& opened) {
  audit::Entry entry;
  entry.organization_id = call.organization_id;
  entry.ids = call.ids;
  entry.workflow_id = call.workflow_id;
  entry.user_id = opened.user_id;
  entry.api_key_id = api_key_id;
  entry.route = call.route;
  if (opened.outcome != "denied") {
    entry.event = opened.outcome == "replay" ? "replayed" : "in_flight";
    entry.status = opened.outcome == "replay" ? opened.answer_status : kConflict;
    entry.model = call.model;
    audit::record(entry);
    return;
  }
  const budget::Figures& figures = opened.hold.reservation.figures;
  entry.event = "denied";
  entry.status = kPaymentRequired;
  entry.provider = opened.provider;
  entry.model = opened.model;
  if (opened.routing) entry.routing = pg::from_jsonb_text(*opened.routing);
  JsonObject detail;
  detail.text("scope", figures.scope)
      .number("requestedUSD", opened.estimate.value_or(Usd()).str())
      .number("spentUSD", figures.spent.str())
      .number("heldUSD", figures.held.str());
  if (figures.limit) detail.number("limitUSD", figures.limit->str());
  entry.detail = detail.str();
  audit::record_denial(entry);
}

// A call that is not made as long as nobody has approved it.
void audit_waiting(const Opening& call, const Uuid& api_key_id, const Opened& opened) {
  audit::Entry entry;
  entry.organization_id = call.organization_id;
  entry.event = "approval.waiting";
  entry.status = kAccepted;
  entry.ids = call.ids;
  entry.workflow_id = call.workflow_id;
  entry.user_id = opened.user_id;
  entry.api_key_id = api_key_id;
  entry.route = call.route;
  entry.provider = opened.provider.empty() ? call.provider : opened.provider;
  entry.model = opened.model.empty() ? call.model : opened.model;
  entry.detail = JsonObject()
                     .text("approvalId", opened.approval->approval_id.str())
                     .number("estimatedCostUSD", opened.approval->estimate.str())
                     .number("thresholdUSD", opened.approval->threshold.str())
                     .str();
  audit::record(entry);
}

// Whether an earlier call under the same key decides this one, or an approval that still waits.
bool is_decided(Opening& call, const organization::Key& key, const Uuid& hold_id, Opened& opened,
                TimestampTz now) {
  if (call.approval_id) {
    opened.approval = present_approval(call);
    if (opened.approval->waiting) {
      approval::require_lasting(*opened.approval, now);
      if (!is_within_limits(call, key, opened, std::nullopt)) return true;
      opened.outcome = "approval_required";
      audit_waiting(call, key.api_key_id, opened);
      return true;
    }
  }
  if (call.call_key) {
    if (auto earlier = call_key::claim(*call.call_key, call.fingerprint, hold_id, now)) {
      // A repeat reaches no provider, but is a request like any other.
      if (!is_within_limits(call, key, opened, std::nullopt)) return true;
      Opened repeat = repeated(std::move(*earlier));
      repeat.rate = opened.rate;
      repeat.user_id = opened.user_id;
      audit_opening(call, key.api_key_id, repeat);
      opened = std::move(repeat);
      return true;
    }
  }
  if (opened.approval) approval::require_lasting(*opened.approval, now);
  return false;
}

budget::HoldRequest hold_request(const Opening& call, const organization::Key& key,
                                 const Opened& opened) {
  budget::HoldRequest request;
  request.subject.organization_id = call.organization_id;
  request.subject.workflow_id = call.workflow_id;
  request.subject.user_id = opened.user_id;
  request.subject.provider = call.provider;
  request.subject.api_key_id = key.api_key_id;
  request.subject.community_id = call.community_id;
  request.subject.tool = call.tool;
  request.expires_at = call.expires_at;
  return request;
}

Opened open(Opening call, TimestampTz now) {
  const organization::Key key = organization::authenticate(call.organization_id, call.key_hash);
  budget::pin_budgets(call.organization_id);
  const Uuid hold_id = call.hold_id.value_or(pg::new_uuid());
  Opened opened;
  opened.user_id = call.user_id ? call.user_id : key.user_id;
  const organization::Settings settings = organization::settings_of(call.organization_id);
  opened.redact = settings.redact_for_provider;
  opened.caches_all = settings.caches(false);
  opened.scoped_budgets = budget::has_scoped_budgets(call.organization_id);
  if (is_decided(call, key, hold_id, opened, now)) return opened;
  budget::HoldRequest request = hold_request(call, key, opened);
  opened.advice = budget::advice_for(request.subject, now);
  if (keeps_its_model(call)) opened.advice.downgrade_model.reset();
  routing::Route route =
      routing::find_route(wish_of(call, key, opened.advice.downgrade_model), now);
  opened.provider = route.chain.front().candidate.provider;
  opened.model = route.chain.front().candidate.model;
  opened.completion_tokens = call.completion_tokens;
  if (!is_within_limits(call, key, opened, opened.provider) ||
      !is_approved(call, key, route, opened, now)) {
    forget_key(call, hold_id);
    if (opened.outcome == "approval_required") audit_waiting(call, key.api_key_id, opened);
    return opened;
  }
  request.subject.provider = opened.provider;
  request.model = opened.model;
  if (call.call_key) request.call_key = call.call_key->name;
  request.idempotency_key = hold_id;
  request.brief = true;
  opened.hold = take_sized_hold(call, route, request, opened, now);
  opened.routing = route.json();
  opened.outcome = opened.hold.reservation.granted ? "granted" : "denied";
  if (!opened.hold.reservation.granted) {
    forget_key(call, hold_id);
    audit_opening(call, key.api_key_id, opened);
    return opened;
  }
  if (opened.approval)
    approval::use(call.organization_id, opened.approval->approval_id, call.call_key->name);
  pass_breaker(opened);
  telemetry::count_choice(opened.provider, call.routing);
  opened.keeps_bodies = audit::keeps_bodies(call.organization_id);
  return opened;
}

// A mistake as the outcome of one call among others.
Opened failed(const Error& error) {
  Opened opened;
  opened.outcome = "failed";
  opened.answer = JsonObject()
                      .text("sqlstate", error.sqlstate())
                      .text("message", error.message())
                      .text("detail", error.detail())
                      .text("hint", error.hint())
                      .str();
  return opened;
}

Datum opened_row(const Opened& opened, FunctionCallInfo fcinfo) {
  const auto int_or_null = [](pg::ResultRow& row, const std::optional<std::int32_t>& value) {
    if (value)
      row.add_int32(*value);
    else
      row.null();
  };
  const budget::Figures& figures = opened.hold.reservation.figures;
  const bool decided = opened.estimate.has_value();
  const bool waits = opened.outcome == "approval_required";
  // Where nothing has a limit they were not summed up.
  const bool has_figures = decided && !waits && (figures.limit || opened.outcome == "denied");
  pg::ResultRow row;
  row.text(opened.outcome).add(opened.hold.hold_id);
  row.text(decided ? std::optional(opened.provider) : std::nullopt);
  row.text(decided ? std::optional(opened.model) : std::nullopt);
  row.add(waits     ? std::optional(opened.approval->estimate)
          : decided ? opened.estimate
                    : opened.first_cost);
  row.text(opened.outcome == "denied" ? std::optional(figures.scope) : std::nullopt);
  row.add(figures.limit);
  row.add(has_figures ? std::optional(figures.spent) : std::nullopt);
  row.add(has_figures ? std::optional(figures.held) : std::nullopt);
  row.add(figures.remaining());
  if (opened.hold.hold_id || waits)
    row.add_time(waits ? opened.approval->expires_at : opened.hold.expires_at);
  else
    row.null();
  row.text(opened.user_id);
  int_or_null(row, opened.retry_after_ms);
  int_or_null(row, opened.answer_status);
  row.text(opened.answer);
  if (decided)
    row.add_int32(opened.completion_tokens);
  else
    row.null();
  row.text(opened.advice.warning);
  if (opened.rate.layer)
    row.text(name_of(*opened.rate.layer))
        .add(Int64GetDatum(opened.rate.limit))
        .add(Int64GetDatum(opened.rate.remaining))
        .add_int32(opened.rate.reset_ms);
  else
    row.null().null().null().null();
  if (opened.trial > 0)
    row.add(Int64GetDatum(opened.trial));
  else
    row.null();
  if (opened.routing)
    row.add(pg::from_jsonb_text(*opened.routing));
  else
    row.null();
  row.add_bool(opened.redact).add_bool(opened.keeps_bodies).add_bool(opened.caches_all);
  row.add_bool(opened.scoped_budgets);
  row.add(waits ? std::optional(opened.approval->approval_id) : std::nullopt);
  row.add(waits ? std::optional(opened.approval->threshold) : std::nullopt);
  return row.finish(fcinfo);
}

} // namespace

HOLDFAST_FUNCTION(holdfast_open_call) {
  const pg::Arguments arguments(fcinfo);
  Opened opened;
  const auto work = [&] {
    const TimestampTz now = GetCurrentTimestamp();
    const Opening call = read_opening(arguments, now);
    organization::require(call.organization_id);
    pg::Spi spi;
    opened = open(call, now);
  };
  if (!arguments.boolean(26, "p_in_batch"))
    work();
  else if (const std::optional<Error> failure = pg::caught_apart(work))
    opened = failed(*failure);
  return opened_row(opened, fcinfo);
}
