#pragma once

#include "extension/budget.hpp"
#include "extension/core/price.hpp"

namespace holdfast::ledger {

// One charge to be recorded.
struct Charge {
  budget::Subject subject;
  std::string kind = "usage"; // or adjustment
  std::optional<std::string> model;
  Tokens tokens;
  std::optional<Usd> cost;          // absent: the list price
  std::optional<Usd> reported_cost; // what the provider says it charged
  std::optional<Uuid> idempotency_key;
  std::optional<Uuid> hold_id;
  bool estimated = false;
  std::optional<std::string> metadata; // JSON object
};

// What became of it.
struct Entry {
  Uuid ledger_id;
  Usd cost;
  std::optional<Usd> total_ai_cost; // the workflow's
  bool duplicate = false;
  Usd overrun;
  std::optional<Usd> remaining; // of the tightest budget
};

// Records the charge: ledger entry, counters, end of the hold. A repeat of an idempotency key with
// the same figures returns the first entry; with others it throws Error PT409 naming the field.
// Throws PT400, PT403, PT404, PT422 as record_usage_and_increment documents. Needs a pg::Spi.
Entry record(const Charge& charge, TimestampTz now);

} // namespace holdfast::ledger
