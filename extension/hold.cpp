// Holds: taken on every budget that applies or on none, ended once.
#include "extension/budget_counter.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/events.hpp"
#include "extension/organization.hpp"
#include "extension/pg/append_row.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/keyed_row.hpp"
#include "extension/pg/spi.hpp"

#include <set>

namespace holdfast::budget {

namespace {

constexpr int kPaymentRequired = 402;

constexpr const char* kHoldColumns[] = {
    "organization_id", "hold_id",    "workflow_id",  "amount", "created_at", "expires_at",
    "user_id",         "api_key_id", "provider",     "model",  "call_key",   "budget_ids",
    "period_starts",   "slots",      "community_id", "tool",   "status",     "ended_at"};
pg::AppendTable holds("holdfast", "holds", kHoldColumns);

pg::KeyedTable holds_by_key("holdfast", "holds", "holds_pkey");

// Columns of holds.
constexpr int kWorkflowId = 3;
constexpr int kUserId = 9;
constexpr int kApiKeyId = 10;
constexpr int kProvider = 11;
constexpr int kCallKey = 13;
constexpr int kCommunityId = 16;
constexpr int kTool = 17;

// For holds to which a user has added triggers or columns.
constexpr Oid kInsertHoldTypes[] = {
    UUIDOID,      UUIDOID,      UUIDOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
    TEXTOID,      UUIDOID,      TEXTOID, TEXTOID,    TEXTOID,        UUIDARRAYOID,
    DATEARRAYOID, INT2ARRAYOID, UUIDOID, TEXTOID,    TEXTOID,        TIMESTAMPTZOID};
pg::Statement insert_hold(
    "INSERT INTO holdfast.holds (organization_id, hold_id, workflow_id, amount, created_at,"
    " expires_at, user_id, api_key_id, provider, model, call_key, budget_ids, period_starts, slots,"
    " community_id, tool, status, ended_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
    " $17::holdfast.hold_status, $18)"
    " ON CONFLICT DO NOTHING",
    kInsertHoldTypes);

constexpr Oid kFindHoldTypes[] = {UUIDOID, UUIDOID};
pg::Statement find_hold("SELECT status::text, workflow_id, amount, expires_at FROM holdfast.holds"
                        " WHERE organization_id = $1 AND hold_id = $2",
                        kFindHoldTypes);

pg::Statement find_parts("SELECT budget_ids, period_starts, slots FROM holdfast.holds"
                         " WHERE organization_id = $1 AND hold_id = $2",
                         kFindHoldTypes);

// The state as text: the index of the organization's open holds is no way to one of them, but looks
// cheaper than the key while statistics are old.
constexpr Oid kEndHoldTypes[] = {UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID};
pg::Statement update_ended(
    "UPDATE holdfast.holds h SET status = $3::holdfast.hold_status, ended_at = $4"
    " WHERE organization_id = $1 AND hold_id = $2 AND status::text = 'open'"
    " AND ($3 = 'settled' OR h.expires_at > $4)"
    " RETURNING h.hold_id, h.amount, h.expires_at <= $4,"
    " h.workflow_id, h.user_id, h.provider, h.call_key, h.budget_ids, h.period_starts, h.slots,"
    " h.organization_id, h.api_key_id, h.community_id, h.tool, h.expires_at",
    kEndHoldTypes);

// A call that is settled late is not unresolved any more.
constexpr Oid kSettleExpiredTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement
    settle_expired("UPDATE holdfast.holds SET status = 'settled', ended_at = $3"
                   " WHERE organization_id = $1 AND hold_id = $2 AND status::text = 'expired'",
                   kSettleExpiredTypes);

constexpr Oid kExpireTypes[] = {TIMESTAMPTZOID, INT4OID};
pg::Statement expire_some(
    "UPDATE holdfast.holds h SET status = 'expired', ended_at = $1"
    " FROM (SELECT organization_id, hold_id FROM holdfast.holds"
    "       WHERE status = 'open' AND expires_at <= $1"
    "       ORDER BY organization_id, hold_id LIMIT $2 FOR UPDATE SKIP LOCKED) due"
    " WHERE h.organization_id = due.organization_id AND h.hold_id = due.hold_id"
    " RETURNING h.hold_id, h.amount, true,"
    " h.workflow_id, h.user_id, h.provider, h.call_key, h.budget_ids, h.period_starts, h.slots,"
    " h.organization_id, h.api_key_id, h.community_id, h.tool, h.expires_at",
    kExpireTypes);

constexpr Oid kExtendTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement extend_open("UPDATE holdfast.holds h SET expires_at = $3"
                          " FROM (SELECT expires_at FROM holdfast.holds"
                          "       WHERE organization_id = $1 AND hold_id = $2 AND status::text = "
                          "'open' FOR UPDATE) before"
                          " WHERE h.organization_id = $1 AND h.hold_id = $2"
                          " RETURNING h.budget_ids, h.period_starts, h.slots, before.expires_at",
                          kExtendTypes);

constexpr Oid kInsertDenialTypes[] = {UUIDOID,    UUIDOID,    TIMESTAMPTZOID, UUIDOID, TEXTOID,
                                      UUIDOID,    TEXTOID,    TEXTOID,        TEXTOID, NUMERICOID,
                                      NUMERICOID, NUMERICOID, NUMERICOID,     UUIDOID, TEXTOID};
pg::Statement insert_denial(
    "INSERT INTO holdfast.budget_denials (organization_id, denial_id, created_at, workflow_id,"
    " user_id, api_key_id, provider, model, scope, requested, limit_usd, spent, held,"
    " community_id, tool)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    kInsertDenialTypes);

void tell_denial(const HoldRequest& request, const Figures& figures) {
  if (!events::is_wanted(events::Kind::denial)) return;
  JsonObject members;
  members.text("scope", figures.scope)
      .number("requestedUSD", request.amount.str())
      .number("spentUSD", figures.spent.str())
      .number("heldUSD", figures.held.str());
  if (figures.limit) members.number("limitUSD", figures.limit->str());
  if (request.subject.workflow_id) members.text("workflowId", request.subject.workflow_id->str());
  if (request.subject.user_id) members.text("userId", *request.subject.user_id);
  events::send(events::Kind::denial, request.subject.organization_id, members);
}

void record_denial(const HoldRequest& request, const Figures& figures, TimestampTz now) {
  insert_denial.run(pg::Parameters()
                        .add(request.subject.organization_id)
                        .add(pg::new_uuid())
                        .add(TimestampTzGetDatum(now))
                        .add(request.subject.workflow_id)
                        .text(request.subject.user_id)
                        .add(request.subject.api_key_id)
                        .text(request.subject.provider)
                        .text(request.model)
                        .text(figures.scope)
                        .add(request.amount)
                        .add(figures.limit)
                        .add(figures.spent)
                        .add(figures.held)
                        .add(request.subject.community_id)
                        .text(request.subject.tool));
  tell_denial(request, figures);
  pg::set_response_status(kPaymentRequired);
}

bool record_hold(const HoldRequest& request, const Uuid& hold_id,
                 const std::vector<Applicable>& counters, TimestampTz now) {
  std::vector<Uuid> budget_ids;
  std::vector<std::int32_t> period_starts;
  std::vector<std::int16_t> slots;
  for (const Applicable& counter : counters) {
    budget_ids.push_back(counter.key.budget_id);
    period_starts.push_back(counter.key.period_start);
    slots.push_back(counter.key.is_shared() ? own_slot() : std::int16_t{0});
  }
  const pg::Parameters columns = pg::Parameters()
                                     .add(request.subject.organization_id)
                                     .add(hold_id)
                                     .add(request.subject.workflow_id)
                                     .add(request.amount)
                                     .add(TimestampTzGetDatum(now))
                                     .add(TimestampTzGetDatum(request.expires_at))
                                     .text(request.subject.user_id)
                                     .add(request.subject.api_key_id)
                                     .text(request.subject.provider)
                                     .text(request.model)
                                     .text(request.call_key)
                                     .add(pg::from_uuids(budget_ids))
                                     .add(pg::from_dates(period_starts))
                                     .add(pg::from_int16s(slots))
                                     .add(request.subject.community_id)
                                     .text(request.subject.tool)
                                     .text("open")
                                     .null();
  pg::AppendedRows rows(holds);
  if (!rows.suffices()) return insert_hold.run(columns).size() == 1;
  if (request.idempotency_key) return rows.add_unless_taken(columns);
  rows.add(columns);
  return true;
}

// Most keys are new: the executor is asked only about those that are not.
bool is_recorded(const Uuid& organization_id, const Uuid& hold_id) {
  const Datum key[] = {pg::from_uuid(organization_id), pg::from_uuid(hold_id)};
  pg::KeyedRow row(holds_by_key, AccessShareLock);
  return row.fetch(key, 2);
}

// The hold that an earlier call took under the same key, if any.
std::optional<HoldResult> repeated(const HoldRequest& request, TimestampTz now) {
  const Uuid organization_id = request.subject.organization_id;
  if (!request.idempotency_key || !is_recorded(organization_id, *request.idempotency_key))
    return std::nullopt;
  const pg::Rows rows =
      find_hold.run(pg::Parameters().add(organization_id).add(*request.idempotency_key));
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  if (row.usd(3) != request.amount || row.optional_uuid(2) != request.subject.workflow_id)
    throw conflict("The idempotency key was used for another hold.")
        .detail(JsonObject()
                    .text("field", row.usd(3) != request.amount ? "estimatedCost" : "workflowId")
                    .number("heldUSD", row.usd(3).str())
                    .number("requestedUSD", request.amount.str())
                    .str())
        .hint("Use a new key for a new hold.");
  HoldResult result;
  result.hold_id = request.idempotency_key;
  result.expires_at = DatumGetTimestampTz(row.datum(4));
  result.reservation = {true, tightest_figures(counters_of(request.subject, now))};
  return result;
}

std::vector<EndedHold::Part> read_parts(const Uuid& organization_id, Datum budget_ids,
                                        Datum period_starts, Datum slots) {
  const std::vector<Uuid> ids = pg::to_uuids(budget_ids);
  const std::vector<std::int32_t> starts = pg::to_int32s(period_starts);
  const std::vector<std::int16_t> numbers = pg::to_int16s(slots);
  std::vector<EndedHold::Part> parts;
  for (std::size_t i = 0; i < ids.size(); ++i) // holds of 0.1.0 had no slots
    parts.push_back({{ids[i], organization_id, starts.at(i)},
                     i < numbers.size() ? numbers[i] : std::int16_t{0}});
  return parts;
}

EndedHold read_ended(const pg::Row& row) {
  EndedHold hold;
  hold.hold_id = row.uuid(1);
  hold.amount = row.usd(2);
  hold.expired = row.boolean(3);
  hold.subject.workflow_id = row.optional_uuid(4);
  hold.subject.user_id = row.optional_text(5);
  hold.subject.provider = row.optional_text(6);
  hold.call_key = row.optional_text(7);
  hold.subject.organization_id = row.uuid(11);
  hold.subject.api_key_id = row.optional_uuid(12);
  hold.subject.community_id = row.optional_uuid(13);
  hold.subject.tool = row.optional_text(14);
  hold.parts = read_parts(hold.subject.organization_id, row.datum(8), row.datum(9), row.datum(10));
  hold.expires_at = DatumGetTimestampTz(row.datum(15));
  return hold;
}

// The status of a hold that is not open, for an error. Throws Error PT404 for an unknown one.
std::string status_of(const Uuid& organization_id, const Uuid& hold_id) {
  const pg::Rows rows = find_hold.run(pg::Parameters().add(organization_id).add(hold_id));
  if (!rows.empty()) return rows[0].text(1);
  throw not_found("The organization has no hold " + hold_id.str() + ".")
      .detail(JsonObject().text("holdId", hold_id.str()).str());
}

Error already_ended(const Uuid& hold_id, const std::string& status) {
  return conflict("Hold " + hold_id.str() + " has ended: it is " + status + ".")
      .detail(JsonObject().text("holdId", hold_id.str()).text("status", status).str())
      .hint("A hold ends once. Take a new one with holdfast.hold_workflow_cost().");
}

// Another session may be deciding, under a counter's lock, that this hold has run out. So the clock
// is asked once all its counters are locked: from then on nobody decides without seeing it
// extended.
TimestampTz extend(const Uuid& organization_id, const Uuid& hold_id, TimestampTz until) {
  const pg::Rows extended = extend_open.run(
      pg::Parameters().add(organization_id).add(hold_id).add(TimestampTzGetDatum(until)));
  if (extended.empty()) throw already_ended(hold_id, status_of(organization_id, hold_id));
  const pg::Row row = extended[0];
  std::vector<EndedHold::Part> parts =
      read_parts(organization_id, row.datum(1), row.datum(2), row.datum(3));
  std::sort(parts.begin(), parts.end(),
            [](const EndedHold::Part& a, const EndedHold::Part& b) { return a.key < b.key; });
  for (const EndedHold::Part& part : parts)
    lock_counter(part.key, part.slot);
  if (DatumGetTimestampTz(row.datum(4)) <= GetCurrentTimestamp())
    throw already_ended(hold_id, "expired");
  return until;
}

std::int32_t expire_due(std::int32_t most, TimestampTz now) {
  const pg::Rows rows =
      expire_some.run(pg::Parameters().add(TimestampTzGetDatum(now)).add_int32(most));
  std::vector<Move> moves;
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    add_release_moves(read_ended(rows[i]), moves);
  budget::apply(moves, now);
  return static_cast<std::int32_t>(rows.size());
}

} // namespace

void watch_holds() {
  holds.watch();
  holds_by_key.watch();
}

std::optional<std::int16_t> EndedHold::slot_on(const CounterKey& key) const {
  for (const Part& part : parts) {
    if (part.key == key) return part.slot;
  }
  return std::nullopt;
}

HoldResult take_hold(const HoldRequest& request, TimestampTz now, bool probing) {
  pin_budgets(request.subject.organization_id);
  if (std::optional<HoldResult> earlier = repeated(request, now)) return *earlier;
  const std::vector<Applicable> counters = counters_of(request.subject, now);
  HoldResult result;
  result.reservation =
      reserve(counters, request.amount, request.workflow_limit, now, request.brief);
  if (!result.reservation.granted) {
    if (!probing) record_denial(request, result.reservation.figures, now);
    return result;
  }
  result.hold_id = request.idempotency_key.value_or(pg::new_uuid());
  result.expires_at = request.expires_at;
  if (record_hold(request, *result.hold_id, counters, now)) return result;
  // Another session took a hold under this key after we looked.
  for (const Applicable& counter : counters)
    add_held(counter.key, counter.key.is_shared() ? own_slot() : std::int16_t{0}, -request.amount);
  return repeated(request, now).value();
}

std::optional<EndedHold> end_hold(const Uuid& organization_id, const Uuid& hold_id, Ending ending,
                                  TimestampTz now) {
  const pg::Rows rows =
      update_ended.run(pg::Parameters()
                           .add(organization_id)
                           .add(hold_id)
                           .text(ending == Ending::settled ? "settled" : "released")
                           .add(TimestampTzGetDatum(now)));
  if (!rows.empty()) return read_ended(rows[0]);
  if (ending == Ending::settled)
    settle_expired.run(
        pg::Parameters().add(organization_id).add(hold_id).add(TimestampTzGetDatum(now)));
  status_of(organization_id, hold_id);
  return std::nullopt;
}

std::optional<HeldCall> find_held_call(const Uuid& organization_id, const Uuid& hold_id) {
  const Datum key[] = {pg::from_uuid(organization_id), pg::from_uuid(hold_id)};
  pg::KeyedRow found(holds_by_key, AccessShareLock);
  if (!found.fetch(key, 2)) return std::nullopt;
  const pg::Row row = found.row();
  HeldCall call;
  call.subject.organization_id = organization_id;
  call.subject.workflow_id = row.optional_uuid(kWorkflowId);
  call.subject.user_id = row.optional_text(kUserId);
  call.subject.provider = row.optional_text(kProvider);
  call.subject.api_key_id = row.optional_uuid(kApiKeyId);
  call.subject.community_id = row.optional_uuid(kCommunityId);
  call.subject.tool = row.optional_text(kTool);
  call.call_key = row.optional_text(kCallKey);
  return call;
}

void lock_counters(const Uuid& organization_id, const Uuid& hold_id, const Subject& one,
                   const Subject& other, TimestampTz now) {
  std::set<CounterKey> keys;
  for (const Subject& subject : {one, other})
    for (const Applicable& counter : counters_of(subject, now))
      keys.insert(counter.key);
  const pg::Rows rows = find_parts.run(pg::Parameters().add(organization_id).add(hold_id));
  if (!rows.empty())
    for (const EndedHold::Part& part :
         read_parts(organization_id, rows[0].datum(1), rows[0].datum(2), rows[0].datum(3)))
      keys.insert(part.key);
  for (const CounterKey& key : keys) {
    const std::int16_t last = key.is_shared() ? kSlots : std::int16_t{0};
    for (std::int16_t slot = 0; slot <= last; ++slot)
      try_lock_counter(key, slot);
  }
}

void add_release_moves(const EndedHold& hold, std::vector<Move>& moves) {
  for (const EndedHold::Part& part : hold.parts)
    moves.push_back({{part.key, ""}, part.slot, {}, hold.amount, {}});
}

std::optional<EndedHold> release(const Uuid& organization_id, const Uuid& hold_id,
                                 TimestampTz now) {
  std::optional<EndedHold> hold = end_hold(organization_id, hold_id, Ending::released, now);
  if (!hold) return std::nullopt;
  std::vector<Move> moves;
  add_release_moves(*hold, moves);
  budget::apply(moves, now);
  return hold;
}

} // namespace holdfast::budget

using namespace holdfast;

namespace {

Usd estimate(const pg::Arguments& arguments, int i) {
  const Usd amount = arguments.usd(i, "p_estimated_cost");
  if (!amount.is_negative()) return amount;
  throw bad_value("p_estimated_cost is " + amount.str() + ", below 0.")
      .detail(JsonObject().text("field", "p_estimated_cost").number("value", amount.str()).str())
      .hint("Give the most that the call can cost, in USD.");
}

std::optional<Usd> lower_limit(const pg::Arguments& arguments, int i) {
  const std::optional<Usd> limit = arguments.optional_usd(i, "p_limit");
  if (!limit || !limit->is_negative()) return limit;
  throw bad_value("p_limit is " + limit->str() + ", below 0.")
      .detail(JsonObject().text("field", "p_limit").number("value", limit->str()).str());
}

Datum hold_row(const budget::HoldResult& hold, FunctionCallInfo fcinfo) {
  const budget::Figures& figures = hold.reservation.figures;
  pg::ResultRow row;
  row.add(hold.hold_id).add_bool(hold.reservation.granted);
  if (hold.reservation.granted)
    row.null();
  else
    row.text(figures.scope);
  row.add(figures.limit).add(figures.spent).add(figures.held);
  if (hold.reservation.granted)
    row.add_time(hold.expires_at);
  else
    row.null();
  return row.finish(fcinfo);
}

} // namespace

HOLDFAST_FUNCTION(holdfast_hold_workflow_cost) {
  const pg::Arguments arguments(fcinfo);
  const TimestampTz now = GetCurrentTimestamp();
  budget::HoldRequest request;
  request.subject.workflow_id = arguments.optional_uuid(0);
  request.subject.organization_id = arguments.uuid(1, "p_organization_id");
  request.amount = estimate(arguments, 2);
  request.workflow_limit = lower_limit(arguments, 3);
  request.expires_at = arguments.expiry(4, "p_ttl", now);
  request.subject.user_id = arguments.optional_text(5, "p_user_id");
  request.idempotency_key = arguments.optional_uuid(6);
  request.subject.provider = arguments.optional_text(7, "p_provider");
  request.subject.api_key_id = arguments.optional_uuid(8);
  request.subject.community_id = arguments.optional_uuid(9);
  request.subject.tool = arguments.optional_text(10, "p_tool");
  organization::require(request.subject.organization_id);
  budget::HoldResult hold;
  {
    pg::Spi spi;
    hold = budget::take_hold(request, now);
  }
  return hold_row(hold, fcinfo);
}

HOLDFAST_FUNCTION(holdfast_release_hold) {
  const pg::Arguments arguments(fcinfo);
  const TimestampTz now = GetCurrentTimestamp();
  const Uuid hold_id = arguments.uuid(0, "p_hold_id");
  const Uuid organization_id = arguments.uuid(1, "p_organization_id");
  organization::require(organization_id);
  pg::Spi spi;
  if (!budget::release(organization_id, hold_id, now)) {
    const std::string status = budget::status_of(organization_id, hold_id);
    throw budget::already_ended(hold_id, status == "open" ? "expired" : status);
  }
  return BoolGetDatum(true);
}

HOLDFAST_FUNCTION(holdfast_extend_hold) {
  const pg::Arguments arguments(fcinfo);
  const TimestampTz now = GetCurrentTimestamp();
  const Uuid hold_id = arguments.uuid(0, "p_hold_id");
  const Uuid organization_id = arguments.uuid(1, "p_organization_id");
  const TimestampTz until = arguments.expiry(2, "p_ttl", now);
  organization::require(organization_id);
  pg::Spi spi;
  return TimestampTzGetDatum(budget::extend(organization_id, hold_id, until));
}

HOLDFAST_FUNCTION(holdfast_expire_holds) {
  const pg::Arguments arguments(fcinfo);
  const std::int32_t most = arguments.integer(0, "p_most");
  if (most < 1 || most > 10000)
    throw bad_value("p_most is " + std::to_string(most) + ", outside 1 to 10000.");
  pg::Spi spi;
  return Int32GetDatum(budget::expire_due(most, GetCurrentTimestamp()));
}
