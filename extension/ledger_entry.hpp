#pragma once

#include "extension/ledger.hpp"
#include "extension/pg/append_row.hpp"

// The statements on ledger entries.
namespace holdfast::ledger {

// What a charge costs: by the list, and as it is to be recorded.
struct Costs {
  Usd cost;
  std::optional<Usd> list;
  std::optional<std::int32_t> price_id;
  std::optional<std::string> provider; // the charge's own, else the one that prices the model
};

// Throws Error PT422 when the charge has no cost and its model no price.
Costs price(const Charge& charge, TimestampTz now);

// The entry that was recorded under the charge's key, if any. Throws Error PT409 when its figures
// are others.
std::optional<Entry> find_repeated(const Charge& charge);

// Throws Error PT409 naming the first figure in which two charges under one key differ.
void check_same(const Charge& charge, const Charge& first);

// The ledger, open for the entries of one call.
class Entries {
public:
  // Appends the entry; false when its key is taken.
  bool append(const Charge& charge, const Costs& costs, const Entry& entry, TimestampTz now);

private:
  std::optional<pg::AppendedRows> rows_;
};

// Has to be called at load time.
void start();

} // namespace holdfast::ledger
