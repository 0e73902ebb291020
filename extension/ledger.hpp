#pragma once

#include "extension/budget.hpp"
#include "extension/core/error.hpp"
#include "extension/core/price.hpp"

namespace holdfast::ledger {

// One charge to be recorded.
struct Charge {
  budget::Subject subject;
  std::string kind = "usage"; // of ledger_kind
  std::optional<std::string> model;
  Tokens tokens;
  std::optional<Usd> cost;          // absent: the list price
  std::optional<Usd> reported_cost; // what the provider says it charged
  std::optional<Uuid> idempotency_key;
  std::optional<Uuid> hold_id;
  std::optional<Uuid> corrects; // the entry that a refund takes back from
  bool as_held = false;         // the subject was read from the hold itself
  bool estimated = false;
  bool cache_hit = false;              // answered without the provider, at no cost
  bool fallback_used = false;          // another provider than the first of the call's route
  std::optional<std::string> metadata; // JSON object
};

// What became of it.
struct Entry {
  Uuid ledger_id;
  Usd cost;
  std::optional<Usd> total_ai_cost; // the workflow's
  bool duplicate = false;
  Usd overrun;
};
struct Outcome {
  Entry entry;
  std::optional<Error> error; // then nothing was recorded
};

// Records charges of one organization: ledger entries, counters, ends of holds. A repeat of an
// idempotency key with the same figures returns the first entry; with others it is an Error PT409
// naming the field. Each charge has its own outcome. Needs a pg::Spi.
std::vector<Outcome> record(const Uuid& organization_id, const Charge* charges, std::size_t count);

// One charge, whose error is thrown.
Entry record(const Charge& charge);

} // namespace holdfast::ledger
