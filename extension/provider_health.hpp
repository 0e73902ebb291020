#pragma once

#include "extension/core/breaker.hpp"

#include <optional>
#include <string>

// How providers are doing: circuit breakers and latencies, in shared memory, so that all gateways
// of a database know the same.
namespace holdfast::provider_health {

// Defines the settings and requests the memory.
void start();

// Whether there is such memory: only where the library is preloaded.
bool is_watched();

// What an admission would find now; reserves nothing. Without memory: closed.
BreakerState state_of(const std::string& provider);

// Lets a call through or not. A trial must be reported or given back.
Breaker::Admission admit(const std::string& provider);
void report(const std::string& provider, bool ok, std::int64_t latency_ms, std::int64_t trial);
void give_back(const std::string& provider, std::int64_t trial);

// The measured middle of its latencies in ms; nullopt until there are enough of them.
std::optional<double> median_ms(const std::string& provider);

} // namespace holdfast::provider_health
