#pragma once

#include "extension/budget.hpp"

#include <functional>

// Single counter rows, shared by plain and by slotted counters.
namespace holdfast::budget {

// Into how many slots the organization's month is divided: 1 to kSlots are counted in by calls,
// slot 0 takes what of the limit they do not.
constexpr std::int16_t kSlots = 16;

// Called at load time.
void watch_counters();
void watch_holds();

// One counter row: budget_counters without its key.
struct CounterRow {
  std::optional<Usd> limit; // of its slot
  Usd spent;
  Usd held;
  Usd overrun;

  Usd used() const { return spent + held; }
};

// How a row is changed. `change` sees the newest version and changes it, or returns false to leave
// it. What it refuses `unlocked` keeps no lock; `locked`, it is asked again under the row's lock,
// which stays.
enum class Refusal { unlocked, locked };
enum class Changed { yes, refused, missing };
using Change = std::function<bool(CounterRow&)>;
Changed change_row(const CounterKey& key, std::int16_t slot, Refusal refusal, const Change& change);

// A workflow's own counter, found by the workflow alone; nullopt when there is none.
struct WorkflowCounter {
  Uuid organization_id;
  CounterRow row;
  Oid owner; // of the table
};
std::optional<WorkflowCounter> find_workflow_counter(const Uuid& workflow_id);

// Makes the counter of a period that begins. A workflow's counter is made with the workflow: here
// it throws Error PT404, or PT403 where another organization has it.
void make_counter(const Applicable& counter);

// One row as it is now; nullopt when there is none.
std::optional<CounterRow> look_at_row(const CounterKey& key, std::int16_t slot);

// Locks one row until the transaction ends; one that does not exist throws, or is false.
void lock_counter(const CounterKey& key, std::int16_t slot);
bool try_lock_counter(const CounterKey& key, std::int16_t slot);

// Adds to overrun what of `uncovered` a row is above its limit; on the shared counter, whose slots
// have only shares of it, all.
void add_overrun(const CounterKey& key, std::int16_t slot, Usd uncovered);

// Adds to held without asking.
void add_held(const CounterKey& key, std::int16_t slot, Usd amount);

// Applies a move to one row, making the counter when it is missing.
Moved move_row(const Move& move);

// What open holds that have run out still have in held of this counter.
Usd run_out_on(const CounterKey& key, TimestampTz now);

// The same for the counter of many slots. In reserve_shared the figures of a granted reservation
// are those of its slot.
bool month_is_limited(const Uuid& organization_id);
Reservation reserve_shared(const Applicable& counter, Usd amount, TimestampTz now);
std::vector<Moved> apply_shared(const std::vector<Move>& moves, TimestampTz now);
// The sums over a counter's slots, without locking them.
Figures counter_figures(const Applicable& counter);

} // namespace holdfast::budget
