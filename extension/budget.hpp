#pragma once

#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/postgres.hpp"

#include <optional>
#include <string>
#include <vector>

// Budgets, their running counters, and holds on them. Everything here needs a pg::Spi.
namespace holdfast::budget {

// Whose budgets a call counts against.
struct Subject {
  Uuid organization_id;
  std::optional<Uuid> workflow_id;
  std::optional<std::string> user_id;
  std::optional<std::string> provider;
};

// One counter row. Counters are always locked in ascending order of this key, so that no two
// operations wait for each other in a ring; the organization's row, the one that many calls share,
// comes last and is locked for the shortest time.
struct CounterKey {
  int rank = 0; // of the scope
  Uuid budget_id;
  Uuid organization_id;
  std::int32_t period_start = 0;

  friend bool operator<(const CounterKey& a, const CounterKey& b);
};

// The key of a counter that a hold names.
CounterKey stored_counter(const Uuid& organization_id, const Uuid& budget_id,
                          std::int32_t period_start);

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

// The counters of every budget that applies to the subject at this moment, ascending; those of
// a new period are still to be made.
std::vector<CounterKey> counters_of(const Subject& subject, TimestampTz now);

// Adds `amount` to held on all counters, or on none when one of them would pass its limit; a
// workflow's limit is lowered to `workflow_limit` where that is less.
struct Reservation {
  bool granted = false;
  Figures figures; // of the refusing budget, else of the tightest one
};
Reservation reserve(const std::vector<CounterKey>& keys, Usd amount,
                    std::optional<Usd> workflow_limit, TimestampTz now);

// A change of counters that no limit refuses: money that was spent, holds that end.
struct Move {
  CounterKey key;
  Usd spent;     // added to spent
  Usd released;  // taken from held
  Usd uncovered; // the part of `spent` that no hold had reserved
};
struct Moved {
  CounterKey key;
  Figures figures;
  Usd overrun; // by how much the uncovered part passed the limit
};
// Moves with the same key are summed up; applied in ascending order of the keys.
std::vector<Moved> apply(std::vector<Move> moves);

// What is left of the tightest of these budgets; nullopt when none has a limit.
std::optional<Usd> least_remaining(const std::vector<Moved>& moved);

// A hold as it was when it ended.
struct EndedHold {
  Uuid hold_id;
  Usd amount;
  bool expired = false; // had run out by then: its amount no longer covers anything
  std::optional<Uuid> workflow_id;
  std::optional<std::string> user_id;
  std::optional<std::string> provider;
  std::optional<std::string> call_key;
  std::vector<CounterKey> counters;
};
enum class Ending { settled, released };

// Ends an open hold; nullopt when it has ended before. Throws Error PT404 for an unknown hold.
// Its counters still hold the amount until add_release_moves() is applied.
std::optional<EndedHold> end_hold(const Uuid& organization_id, const Uuid& hold_id, Ending ending,
                                  TimestampTz now);
void add_release_moves(const EndedHold& hold, std::vector<Move>& moves);

// A hold to be taken.
struct HoldRequest {
  Subject subject;
  std::optional<Uuid> api_key_id;
  std::optional<std::string> model;
  std::optional<std::string> call_key; // the caller's idempotency key of a governed call
  std::optional<Uuid> idempotency_key; // becomes the hold's id
  Usd amount;
  std::optional<Usd> workflow_limit;
  TimestampTz expires_at = 0;
};
struct HoldResult {
  std::optional<Uuid> hold_id; // absent when denied
  Reservation reservation;
  TimestampTz expires_at = 0;
};
// Takes the hold or records the denial (table budget_denials) and sets PostgREST's status to 402.
// Throws Error PT404, PT403 for a workflow that is unknown or of another organization.
HoldResult take_hold(const HoldRequest& request, TimestampTz now);

} // namespace holdfast::budget
