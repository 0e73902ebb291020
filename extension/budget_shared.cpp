// The organization's month, which many calls share. Its row would be locked through every commit's
// flush, so it is divided into slots: each server process counts in its own, and each has a share
// of the limit. The shares always sum up to the limit. When a slot's share is used up all slots are
// locked, the decision is made on their sum, and what is left is shared out anew: nothing is
// refused that fits, nothing granted that does not.
#include "extension/budget_counter.hpp"

#include "extension/core/error.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"

#include <algorithm>

namespace holdfast::budget {

namespace {

constexpr Oid kCounterTypes[] = {UUIDOID, UUIDOID, DATEOID};
pg::Statement lock_slots("SELECT slot, limit_usd, spent, held, overrun"
                         " FROM holdfast.budget_counters"
                         " WHERE budget_id = $1 AND organization_id = $2 AND period_start = $3"
                         " ORDER BY slot FOR NO KEY UPDATE",
                         kCounterTypes);
pg::Statement sum_slots("SELECT sum(limit_usd), coalesce(sum(spent), 0), coalesce(sum(held), 0)"
                        " FROM holdfast.budget_counters"
                        " WHERE budget_id = $1 AND organization_id = $2 AND period_start = $3",
                        kCounterTypes);

constexpr Oid kStoreTypes[] = {UUIDOID,         UUIDOID,         DATEOID,         INT2ARRAYOID,
                               NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID};
pg::Statement
    store_slots("UPDATE holdfast.budget_counters c SET limit_usd = n.limit_usd, spent = n.spent,"
                " held = n.held, overrun = n.overrun"
                " FROM unnest($4, $5, $6, $7, $8) AS n(slot, limit_usd, spent, held, overrun)"
                " WHERE c.budget_id = $1 AND c.organization_id = $2 AND c.period_start = $3"
                " AND c.slot = n.slot",
                kStoreTypes);

pg::Parameters counter_parameters(const CounterKey& key) {
  return pg::Parameters().add(key.budget_id).add(key.organization_id).date(key.period_start);
}

struct Slot {
  std::int16_t slot = 0;
  Usd limit; // its share
  Usd spent;
  Usd held;
  Usd overrun;
};

// All slots of one limited counter, locked in ascending order.
class LockedSlots {
public:
  explicit LockedSlots(const CounterKey& key) : key_(key) {
    const pg::Rows rows = lock_slots.run(counter_parameters(key));
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
      const pg::Row row = rows[i];
      slots_.push_back({row.smallint(1), row.optional_usd(2).value_or(Usd()), row.usd(3),
                        row.usd(4), row.usd(5)});
    }
    if (slots_.empty()) throw Error("XX000", "a shared budget counter has no slots");
  }

  Slot& at(std::int16_t slot) {
    for (Slot& known : slots_) {
      if (known.slot == slot) return known;
    }
    return slots_.front();
  }

  Slot total() const {
    Slot sum;
    for (const Slot& slot : slots_) {
      sum.limit += slot.limit;
      sum.spent += slot.spent;
      sum.held += slot.held;
      sum.overrun += slot.overrun;
    }
    return sum;
  }

  // Gives every slot the same room below its share; slot 0, in which no call counts, takes what
  // cannot be divided. When nothing is left every share is out of reach, so that money that comes
  // back to one slot is no room in it before all of them have been looked at again.
  void share_out() {
    const Slot sum = total();
    const Usd room = sum.limit - sum.spent - sum.held;
    const Usd each = Usd::from_units(room.units() / kSlots);
    Usd rest = sum.limit;
    for (Slot& slot : slots_) {
      if (slot.slot == 0) continue;
      slot.limit = room.is_negative() ? -Usd::most_given() : slot.spent + slot.held + each;
      rest -= slot.limit;
    }
    slots_.front().limit = rest;
  }

  void store() const {
    std::vector<std::int16_t> numbers;
    std::vector<Usd> limits;
    std::vector<Usd> spent;
    std::vector<Usd> held;
    std::vector<Usd> overruns;
    for (const Slot& slot : slots_) {
      numbers.push_back(slot.slot);
      limits.push_back(slot.limit);
      spent.push_back(slot.spent);
      held.push_back(slot.held);
      overruns.push_back(slot.overrun);
    }
    store_slots.run(counter_parameters(key_)
                        .add(pg::from_int16s(numbers))
                        .add(pg::from_usds(limits))
                        .add(pg::from_usds(spent))
                        .add(pg::from_usds(held))
                        .add(pg::from_usds(overruns)));
  }

private:
  CounterKey key_;
  std::vector<Slot> slots_;
};

// Changes one slot if the change fits its share. A refused attempt keeps no lock, for another
// session may be locking all slots in their order.
std::optional<Figures> change_own(const Applicable& counter, std::int16_t slot, Usd spent,
                                  Usd held) {
  Figures figures{std::string(counter.scope), {}, {}, {}};
  const Changed changed = change_row(counter.key, slot, Refusal::unlocked, [&](CounterRow& row) {
    row.spent += spent;
    row.held += held;
    figures.limit = row.limit;
    figures.spent = row.spent;
    figures.held = row.held;
    return !row.limit || row.used() <= *row.limit;
  });
  if (changed != Changed::yes) return std::nullopt;
  return figures;
}

// Whether the limit has to be asked: the slot grows, or takes what no hold had reserved, be it that
// a hold which ran out, and whose room another has by now, gives back as much.
bool may_pass(const Move& move) {
  return move.spent > move.released || move.uncovered > Usd();
}

// Settles on all slots at once: what no hold covered is overrun only as far as the whole passes
// the whole limit.
std::vector<Moved> apply_locked(const std::vector<Move>& moves) {
  const Applicable& counter = moves.front().counter;
  LockedSlots slots(counter.key);
  Usd uncovered;
  for (const Move& move : moves) {
    Slot& slot = slots.at(move.slot);
    slot.spent += move.spent;
    slot.held -= move.released;
    uncovered += move.uncovered;
  }
  const Slot total = slots.total();
  const Usd above = std::max(Usd(), total.spent + total.held - total.limit);
  const Usd overrun = std::min(uncovered, above);
  slots.at(moves.front().slot).overrun += overrun;
  slots.share_out();
  slots.store();
  std::vector<Moved> results;
  for (const Move& move : moves)
    results.push_back(
        {move, {std::string(counter.scope), total.limit, total.spent, total.held}, {}});
  results.front().overrun = overrun;
  return results;
}

} // namespace

// 1 and up: slot 0 takes what cannot be divided. Sessions have small numbers, so that few of them
// share a slot.
std::int16_t own_slot() {
  return static_cast<std::int16_t>(1 + pg::session_number() % kSlots);
}

Figures counter_figures(const Applicable& counter) {
  if (!counter.key.is_shared()) {
    const CounterRow row = look_at_row(counter.key, 0).value_or(CounterRow());
    return {std::string(counter.scope), row.limit, row.spent, row.held};
  }
  const pg::Row row = sum_slots.run(counter_parameters(counter.key))[0];
  return {std::string(counter.scope), row.optional_usd(1), row.usd(2), row.usd(3)};
}

Reservation reserve_shared(const Applicable& counter, Usd amount, TimestampTz now) {
  const std::int16_t slot = own_slot();
  for (int attempt = 0; attempt < 2 && !amount.is_zero();
       ++attempt) { // nothing has room for nothing
    if (const auto figures = change_own(counter, slot, {}, amount)) return {true, *figures};
    if (attempt == 0) make_counter(counter); // where it is there already, nothing happens
  }
  if (amount.is_zero()) make_counter(counter);
  if (!month_is_limited(counter.key.organization_id)) {
    if (!amount.is_zero()) throw Error("XX000", "a counter without a limit refused a hold");
    return {true, counter_figures(counter)};
  }
  LockedSlots slots(counter.key);
  const Slot total = slots.total();
  Figures figures{std::string(counter.scope), total.limit, total.spent,
                  total.held - run_out_on(counter.key, now)};
  if (figures.spent + figures.held + amount > total.limit) return {false, figures};
  slots.at(slot).held += amount;
  slots.share_out();
  slots.store();
  figures.held += amount;
  return {true, figures};
}

std::vector<Moved> apply_shared(const std::vector<Move>& moves, TimestampTz) {
  const bool asks = std::any_of(moves.begin(), moves.end(), may_pass);
  const Applicable& counter = moves.front().counter;
  if (!asks || !month_is_limited(counter.key.organization_id)) {
    std::vector<Moved> results;
    for (Move move : moves) {
      move.uncovered = Usd(); // a slot's share is no limit, and the whole passes none
      results.push_back(move_row(move));
    }
    return results;
  }
  if (moves.size() == 1) {
    const Move& move = moves.front();
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (const auto figures = change_own(counter, move.slot, move.spent, -move.released))
        return {{move, *figures, {}}};
      if (attempt == 0) make_counter(counter);
    }
  }
  return apply_locked(moves);
}

} // namespace holdfast::budget
