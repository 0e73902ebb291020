// One row of budget_counters, read and changed in place: three of these are on the path of every
// call, and the executor would take longer to start than they take.
#include "extension/budget_counter.hpp"

#include "extension/core/error.hpp"
#include "extension/pg/keyed_row.hpp"

namespace holdfast::budget {

namespace {

pg::KeyedTable counters("holdfast", "budget_counters", "budget_counters_pkey");

// Columns of budget_counters.
constexpr int kOrganization = 2;
constexpr int kScope = 4;
constexpr int kLimit = 5;
constexpr int kSpent = 6;
constexpr int kHeld = 7;
constexpr int kOverrun = 8;

CounterRow read(const pg::KeyedRow& row) {
  const pg::Row columns = row.row();
  return {columns.optional_usd(kLimit), columns.usd(kSpent), columns.usd(kHeld),
          columns.usd(kOverrun)};
}

// How often a row is looked at without locking it before it is locked all the same.
constexpr int kMostLooks = 100;

// Writes what has changed; false when another session was first.
bool write(pg::KeyedRow& row, const CounterRow& before, const CounterRow& after) {
  std::array<int, 3> columns{};
  std::array<Datum, 3> values{};
  std::size_t count = 0;
  const auto add = [&](int column, Usd from, Usd to) {
    if (from == to) return;
    columns.at(count) = column;
    values.at(count++) = pg::from_usd(to);
  };
  add(kSpent, before.spent, after.spent);
  add(kHeld, before.held, after.held);
  add(kOverrun, before.overrun, after.overrun);
  return count == 0 || row.update(columns.data(), values.data(), static_cast<int>(count));
}

} // namespace

void watch_counters() {
  counters.watch();
}

Changed change_row(const CounterKey& key, std::int16_t slot, Refusal refusal,
                   const Change& change) {
  const Datum columns[] = {pg::from_uuid(key.budget_id), pg::from_uuid(key.organization_id),
                           DateADTGetDatum(key.period_start), Int16GetDatum(slot)};
  pg::KeyedRow row(counters, RowExclusiveLock);
  CounterRow before;
  CounterRow after;
  for (int look = 0; look < kMostLooks; ++look) { // again where another session was first
    if (!row.fetch(columns, 4)) return Changed::missing;
    before = after = read(row);
    const bool wanted = change(after);
    if (wanted && write(row, before, after)) return Changed::yes;
    if (!wanted && refusal == Refusal::unlocked) return Changed::refused;
    if (refusal == Refusal::locked) break;
  }
  if (!row.lock()) return Changed::missing;
  before = after = read(row);
  if (!change(after)) return Changed::refused;
  if (!write(row, before, after)) throw Error("XX000", "a locked budget counter was changed");
  return Changed::yes;
}

std::optional<CounterRow> look_at_row(const CounterKey& key, std::int16_t slot) {
  const Datum columns[] = {pg::from_uuid(key.budget_id), pg::from_uuid(key.organization_id),
                           DateADTGetDatum(key.period_start), Int16GetDatum(slot)};
  pg::KeyedRow row(counters, AccessShareLock);
  if (!row.fetch(columns, 4)) return std::nullopt;
  return read(row);
}

bool try_lock_counter(const CounterKey& key, std::int16_t slot) {
  const Datum columns[] = {pg::from_uuid(key.budget_id), pg::from_uuid(key.organization_id),
                           DateADTGetDatum(key.period_start), Int16GetDatum(slot)};
  pg::KeyedRow row(counters, RowExclusiveLock);
  return row.fetch(columns, 4) && row.lock();
}

void lock_counter(const CounterKey& key, std::int16_t slot) {
  if (!try_lock_counter(key, slot))
    throw Error("XX000", "a hold names a counter that does not exist");
}

std::optional<WorkflowCounter> find_workflow_counter(const Uuid& workflow_id) {
  const Datum key[] = {pg::from_uuid(workflow_id)};
  pg::KeyedRow row(counters, AccessShareLock);
  if (!row.fetch_seen(key, 1) || row.row().text(kScope) != "workflow") return std::nullopt;
  return WorkflowCounter{row.row().uuid(kOrganization), read(row), row.owner()};
}

} // namespace holdfast::budget
