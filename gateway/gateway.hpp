// The gateway as a whole: what it is made of, and how it starts and stops.
#pragma once

#include "gateway/config.hpp"
#include "gateway/shutdown.hpp"

namespace holdfast::gateway {

// Serves until `stop` says so, then finishes or settles what runs within the drain time. Returns
// the exit status: 0, or 1 when a settlement was lost to the ledger or the listening socket failed.
// Throws std::runtime_error when it cannot start.
int run_gateway(const Config& config, const StopSignal& stop);

} // namespace holdfast::gateway
