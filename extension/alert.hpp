#pragma once

#include "extension/ledger.hpp"

// Alerts about costs. Needs a pg::Spi.
namespace holdfast::alert {

// Raises a drift alert where the provider says that the charge cost something else than it was
// counted as: once for each severity, provider, model and day.
void check_reported_cost(const ledger::Charge& charge, const ledger::Entry& entry, TimestampTz now);

} // namespace holdfast::alert
