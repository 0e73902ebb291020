#pragma once

#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/postgres.hpp"

#include <optional>
#include <string>
#include <vector>

// Budgets, their running counters, and holds on them. Everything here needs a pg::Spi.
namespace holdfast::budget {

// Registers the callback by which changed budgets reach every server process.
void start();

// Whose budgets a call counts against.
struct Subject {
  Uuid organization_id;
  std::optional<Uuid> workflow_id;
  std::optional<std::string> user_id;
  std::optional<std::string> provider;
  std::optional<Uuid> api_key_id;
  std::optional<Uuid> community_id;
  std::optional<std::string> tool;
};

// One counter: a budget in one of its periods. Counters are always locked in ascending order, so
// that no two operations wait for each other in a ring; the organization's month, the one that
// many calls share, comes last and is locked for the shortest time.
struct CounterKey {
  Uuid budget_id;
  Uuid organization_id;
  std::int32_t period_start = 0;

  bool is_shared() const { return budget_id == organization_id; }
  friend bool operator<(const CounterKey& a, const CounterKey& b);
  friend bool operator==(const CounterKey& a, const CounterKey& b);
};

// A counter that applies to a call, and what is needed to make it when its period begins.
struct Applicable {
  CounterKey key;
  std::string_view scope;
};

// What a counter shows after an operation. A refusal's held counts unexpired holds only; else it
// may still count some that have run out and are not swept yet.
struct Figures {
  std::string scope;
  std::optional<Usd> limit;
  Usd spent;
  Usd held;

  // What is left below the limit; nullopt where there is none.
  std::optional<Usd> remaining() const;
};

// Keeps this organization's budgets from changing until the transaction ends; the budgets that
// are looked up after it are the newest. Called first by whatever moves money.
void pin_budgets(const Uuid& organization_id);

// Whether the organization has any budget but its month's and those of its workflows.
bool has_scoped_budgets(const Uuid& organization_id);

// The counters of every budget that applies to the subject at this moment, ascending.
std::vector<Applicable> counters_of(const Subject& subject, TimestampTz now);

// What the budgets that apply advise: a warning, a cheaper model.
struct Advice {
  std::optional<std::string> warning;         // the scope whose soft limit is reached
  std::optional<std::string> downgrade_model; // of the first budget whose threshold is reached
};
Advice advice_for(const Subject& subject, TimestampTz now);

// Adds `amount` to held on all counters, or on none when one of them would pass its limit; a
// workflow's limit is lowered to `workflow_limit` where that is less. `brief`: where nothing has a
// limit, what was spent and held need not be summed up.
struct Reservation {
  bool granted = false;
  Figures figures; // of the refusing budget, else of the tightest one
};
Reservation reserve(const std::vector<Applicable>& counters, Usd amount,
                    std::optional<Usd> workflow_limit, TimestampTz now, bool brief = false);

// What the tightest of these counters shows now. It locks nothing: whoever asks may have changed
// one slot of a shared counter, and must not wait for the others out of their order.
Figures tightest_figures(const std::vector<Applicable>& counters);

// The slot of a shared counter in which this server process counts.
std::int16_t own_slot();

// A change of a counter that no limit refuses: money that was spent, holds that end.
struct Move {
  Applicable counter;
  std::int16_t slot = 0;
  Usd spent;     // added to spent
  Usd released;  // taken from held
  Usd uncovered; // the part of `spent` that no hold on this counter had reserved
};
struct Moved {
  Move move;
  Figures figures; // of the slot, where a counter has several
  Usd overrun;     // by how much the uncovered part passed the limit
};
// Moves of the same counter and slot are summed up; applied in ascending order.
std::vector<Moved> apply(const std::vector<Move>& moves, TimestampTz now);

// Takes back what apply() did, exactly, but for the holds that it released.
void undo(const std::vector<Moved>& moved);

// What is left of the tightest budget that applies; nullopt when none has a limit.
std::optional<Usd> remaining_for(const Subject& subject, TimestampTz now);

// A hold as it was when it ended.
struct EndedHold {
  Uuid hold_id;
  Usd amount;
  bool expired = false; // had run out by then: its amount no longer covers anything
  TimestampTz expires_at = 0;
  Subject subject;
  std::optional<std::string> call_key;
  struct Part {
    CounterKey key;
    std::int16_t slot = 0;
  };
  std::vector<Part> parts;

  // The slot in which it holds on this counter, nullopt when it does not.
  std::optional<std::int16_t> slot_on(const CounterKey& key) const;
};
enum class Ending { settled, released };

// Ends an open hold; nullopt when it has ended before. Throws Error PT404 for an unknown hold.
// Its counters still hold the amount until add_release_moves() is applied.
std::optional<EndedHold> end_hold(const Uuid& organization_id, const Uuid& hold_id, Ending ending,
                                  TimestampTz now);
void add_release_moves(const EndedHold& hold, std::vector<Move>& moves);

// Ends an open hold and gives what it held back; as end_hold() otherwise.
std::optional<EndedHold> release(const Uuid& organization_id, const Uuid& hold_id, TimestampTz now);

// For whom a hold was taken.
struct HeldCall {
  Subject subject;
  std::optional<std::string> call_key;
};
std::optional<HeldCall> find_held_call(const Uuid& organization_id, const Uuid& hold_id);

// A hold to be taken.
struct HoldRequest {
  Subject subject;
  std::optional<std::string> model;
  std::optional<std::string> call_key; // the caller's idempotency key of a governed call
  std::optional<Uuid> idempotency_key; // becomes the hold's id
  Usd amount;
  std::optional<Usd> workflow_limit;
  TimestampTz expires_at = 0;
  bool brief = false; // as for reserve()
};
struct HoldResult {
  std::optional<Uuid> hold_id; // absent when denied
  Reservation reservation;
  TimestampTz expires_at = 0;
};
// Locks, in the order of all, every counter that the hold is on and those of both subjects: for an
// operation that ends the hold of the one and takes another for the other. Counters of periods that
// have not begun are made by whoever changes them.
void lock_counters(const Uuid& organization_id, const Uuid& hold_id, const Subject& one,
                   const Subject& other, TimestampTz now);

// Takes the hold. A denial is recorded (table budget_denials) and sets PostgREST's status to 402,
// unless the caller is only `probing` and will ask for less. Throws Error PT404, PT403 for a
// workflow that is unknown or of another organization.
HoldResult take_hold(const HoldRequest& request, TimestampTz now, bool probing = false);

} // namespace holdfast::budget
