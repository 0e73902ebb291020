// The gateway as a whole: what it is made of, and how it starts and stops.
#pragma once

#include "gateway/config.hpp"
#include "gateway/process_signals.hpp"

namespace holdfast::gateway {

using ConfigReader = std::function<std::variant<Config, ConfigExit>()>;

// Serves until a signal says stop, then finishes or settles what runs within the drain time. One
// that asks for a reload puts the settings that `reread` gives in force, or none of them. Returns
// the exit status: 0, or 1 when a settlement was lost to the ledger or the listening socket failed.
// Throws std::runtime_error when it cannot start.
int run_gateway(const Config& config, const ConfigReader& reread, const ProcessSignals& signals);

} // namespace holdfast::gateway
