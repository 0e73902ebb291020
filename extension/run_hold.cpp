// What a run's steps draw on its hold. Dividing a hold, or putting a part back, changes no counter:
// what is held is the same. A part runs out when the whole does, so that at any moment as much has
// run out as if it had not been divided.
#include "extension/run.hpp"

#include "extension/alert.hpp"
#include "extension/budget_counter.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/spi.hpp"

#include <algorithm>

namespace holdfast::run {

namespace {

constexpr Oid kIdTypes[] = {UUIDOID, UUIDOID};
pg::Statement lock_hold("SELECT amount, expires_at, budget_ids, period_starts, slots"
                        " FROM holdfast.holds WHERE organization_id = $1 AND hold_id = $2"
                        " AND status::text = 'open' FOR NO KEY UPDATE",
                        kIdTypes);

constexpr Oid kChangeTypes[] = {UUIDOID, UUIDOID, NUMERICOID};
pg::Statement change_amount("UPDATE holdfast.holds SET amount = amount + $3"
                            " WHERE organization_id = $1 AND hold_id = $2",
                            kChangeTypes);

constexpr Oid kExpireTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement expire_one("UPDATE holdfast.holds SET status = 'expired', ended_at = $3"
                         " WHERE organization_id = $1 AND hold_id = $2 AND status::text = 'open'",
                         kExpireTypes);

constexpr Oid kInsertTypes[] = {
    UUIDOID, UUIDOID, UUIDOID,      NUMERICOID,   TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID,
    TEXTOID, TEXTOID, UUIDARRAYOID, DATEARRAYOID, INT2ARRAYOID,   UUIDOID,        TEXTOID};
pg::Statement insert_part(
    "INSERT INTO holdfast.holds (organization_id, hold_id, workflow_id, amount, created_at,"
    " expires_at, user_id, api_key_id, provider, model, budget_ids, period_starts, slots,"
    " community_id, tool)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    kInsertTypes);

constexpr Oid kDenialTypes[] = {UUIDOID,    UUIDOID,    TIMESTAMPTZOID, UUIDOID, TEXTOID,
                                UUIDOID,    TEXTOID,    TEXTOID,        TEXTOID, NUMERICOID,
                                NUMERICOID, NUMERICOID, NUMERICOID,     UUIDOID, TEXTOID};
pg::Statement insert_denial(
    "INSERT INTO holdfast.budget_denials (organization_id, denial_id, created_at, workflow_id,"
    " user_id, api_key_id, provider, model, scope, requested, limit_usd, spent, held,"
    " community_id, tool)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    kDenialTypes);

using Part = budget::EndedHold::Part;

struct OpenHold {
  Usd amount;
  TimestampTz expires_at = 0;
  std::vector<Part> parts;
};

// An open hold, locked; nullopt when it has ended. One that has run out is still open.
std::optional<OpenHold> find_open(const Uuid& organization_id, const Uuid& hold_id) {
  const pg::Rows rows = lock_hold.run(pg::Parameters().add(organization_id).add(hold_id));
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  OpenHold hold;
  hold.amount = row.usd(1);
  hold.expires_at = DatumGetTimestampTz(row.datum(2));
  const std::vector<Uuid> ids = pg::to_uuids(row.datum(3));
  const std::vector<std::int32_t> starts = pg::to_int32s(row.datum(4));
  const std::vector<std::int16_t> slots = pg::to_int16s(row.datum(5));
  for (std::size_t i = 0; i < ids.size(); ++i)
    hold.parts.push_back({{ids[i], organization_id, starts.at(i)}, slots.at(i)});
  return hold;
}

// Both holds in the order in which every session locks holds.
void lock_both(const Run& run, const Uuid& hold_id) {
  for (const Uuid& id : {std::min(run.hold_id, hold_id), std::max(run.hold_id, hold_id)})
    lock_hold.run(pg::Parameters().add(run.organization_id()).add(id));
}

bool has_part(const std::vector<Part>& parts, const budget::CounterKey& key) {
  return std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return part.key == key; });
}

void add_to_hold(Run& run, Usd amount) {
  change_amount.run(pg::Parameters().add(run.organization_id()).add(run.hold_id).add(amount));
}

void insert_hold(const Run& run, const budget::Subject& subject, const Uuid& hold_id,
                 const std::string& model, const OpenHold& hold, TimestampTz now) {
  std::vector<Uuid> ids;
  std::vector<std::int32_t> starts;
  std::vector<std::int16_t> slots;
  for (const Part& part : hold.parts) {
    ids.push_back(part.key.budget_id);
    starts.push_back(part.key.period_start);
    slots.push_back(part.slot);
  }
  insert_part.run(pg::Parameters()
                      .add(run.organization_id())
                      .add(hold_id)
                      .add(subject.workflow_id)
                      .add(hold.amount)
                      .add(TimestampTzGetDatum(now))
                      .add(TimestampTzGetDatum(hold.expires_at))
                      .text(subject.user_id)
                      .add(subject.api_key_id)
                      .text(subject.provider)
                      .text(model)
                      .add(pg::from_uuids(ids))
                      .add(pg::from_dates(starts))
                      .add(pg::from_int16s(slots))
                      .add(subject.community_id)
                      .text(subject.tool));
}

void record_refusal(const budget::Subject& subject, const std::string& model, Usd amount,
                    const budget::Figures& figures, TimestampTz now) {
  insert_denial.run(pg::Parameters()
                        .add(subject.organization_id)
                        .add(pg::new_uuid())
                        .add(TimestampTzGetDatum(now))
                        .add(subject.workflow_id)
                        .text(subject.user_id)
                        .add(subject.api_key_id)
                        .text(subject.provider)
                        .text(model)
                        .text(figures.scope)
                        .add(amount)
                        .add(figures.limit.value_or(Usd()))
                        .add(figures.spent)
                        .add(figures.held)
                        .add(subject.community_id)
                        .text(subject.tool));
}

// Adds to the part's counters those that apply to its provider, or to a period that has begun
// since, and holds the amount there.
budget::Reservation hold_further(const budget::Subject& subject, OpenHold& part, TimestampTz now) {
  std::vector<budget::Applicable> further = budget::counters_of(subject, now);
  further.erase(std::remove_if(further.begin(), further.end(),
                               [&](const budget::Applicable& counter) {
                                 return has_part(part.parts, counter.key);
                               }),
                further.end());
  budget::Reservation reservation;
  reservation.granted = true;
  if (further.empty()) return reservation;
  reservation = budget::reserve(further, part.amount, std::nullopt, now);
  for (const budget::Applicable& counter : further)
    part.parts.push_back(
        {counter.key, counter.key.is_shared() ? budget::own_slot() : std::int16_t{0}});
  return reservation;
}

// Takes what an ended hold reserved from its counters, but for what its part in the run's hold goes
// on to reserve.
void unhold(const Uuid& organization_id, const OpenHold& hold, const std::vector<Part>& kept,
            TimestampTz now) {
  budget::EndedHold ended;
  ended.amount = hold.amount;
  ended.subject.organization_id = organization_id;
  for (const Part& part : hold.parts) {
    if (!has_part(kept, part.key)) ended.parts.push_back(part);
  }
  std::vector<budget::Move> moves;
  budget::add_release_moves(ended, moves);
  budget::apply(moves, now);
}

} // namespace

Draw draw(Run& run, const std::string& provider, const std::string& model, Usd amount,
          TimestampTz now) {
  budget::pin_budgets(run.organization_id());
  budget::Subject subject = run.subject;
  subject.provider = provider;
  Draw result;
  std::optional<OpenHold> part = find_open(run.organization_id(), run.hold_id);
  const bool fits = part && part->expires_at > now && amount <= part->amount &&
                    run.drawn + amount <= run.max_cost;
  if (!fits) {
    result.figures = {"run", run.max_cost, run.total_cost, run.drawn - run.total_cost};
    record_refusal(subject, model, amount, result.figures, now);
    return result;
  }
  part->amount = amount;
  const budget::Reservation reservation = hold_further(subject, *part, now);
  if (!reservation.granted) {
    result.figures = reservation.figures;
    record_refusal(subject, model, amount, result.figures, now);
    return result;
  }
  result.hold_id = pg::new_uuid();
  add_to_hold(run, -amount);
  insert_hold(run, subject, *result.hold_id, model, *part, now);
  run.drawn += amount;
  return result;
}

ledger::Entry settle(Run& run, const ledger::Charge& charge, TimestampTz now) {
  const Uuid& organization_id = run.organization_id();
  budget::pin_budgets(organization_id);
  lock_both(run, *charge.hold_id);
  const std::optional<OpenHold> part = find_open(organization_id, *charge.hold_id);
  const std::optional<OpenHold> whole = find_open(organization_id, run.hold_id);
  const ledger::Entry entry = ledger::record(charge);
  alert::check_reported_cost(charge, entry, now);
  if (entry.duplicate || !part) return entry;
  run.drawn += entry.cost - part->amount;
  const Usd rest = part->amount - entry.cost;
  const TimestampTz ends = whole ? std::min(whole->expires_at, part->expires_at) : now;
  if (rest <= Usd() || run.ended || ends <= now) return entry;
  // The ledger has just locked these counters, and taken the part's amount from them.
  for (const Part& held : whole->parts)
    budget::add_held(held.key, held.slot, rest);
  add_to_hold(run, rest);
  return entry;
}

void give_back(Run& run, const Uuid& hold_id, TimestampTz now) {
  const Uuid& organization_id = run.organization_id();
  budget::pin_budgets(organization_id);
  lock_both(run, hold_id);
  const std::optional<OpenHold> part = find_open(organization_id, hold_id);
  if (!part) return; // it was lost before, and is settled or written off
  const std::optional<OpenHold> whole = find_open(organization_id, run.hold_id);
  const bool returns = whole && !run.ended && whole->expires_at > now && part->expires_at > now;
  if (!budget::end_hold(organization_id, hold_id, budget::Ending::released, now)) return;
  unhold(organization_id, *part, returns ? whole->parts : std::vector<Part>(), now);
  if (returns) add_to_hold(run, part->amount);
  run.drawn -= part->amount;
}

void abandon(Run& run, const Uuid& hold_id, TimestampTz now) {
  const Uuid& organization_id = run.organization_id();
  budget::pin_budgets(organization_id);
  const std::optional<OpenHold> part = find_open(organization_id, hold_id);
  if (!part) return;
  expire_one.run(pg::Parameters().add(organization_id).add(hold_id).add(TimestampTzGetDatum(now)));
  unhold(organization_id, *part, {}, now);
}

void release_rest(Run& run, TimestampTz now) {
  if (!run.has_hold) return;
  // A batch's hold is locked after its runs', and by those alone who have locked the batch.
  if (run.batch_id) {
    run.rest_is_due = true;
    return;
  }
  const Uuid& organization_id = run.organization_id();
  budget::pin_budgets(organization_id);
  budget::release(organization_id, run.hold_id, now); // unless it has run out
}

} // namespace holdfast::run
