#pragma once

#include "extension/core/breaker.hpp"
#include "extension/core/error.hpp"

#include <optional>
#include <string>

// How providers are doing: circuit breakers and latencies, in shared memory, so that all gateways
// of a database know the same.
namespace holdfast::provider_health {

// Defines the settings and requests the memory.
void start();

// Whether there is such memory: only where the library is preloaded.
bool is_watched();

// How many ms an admission would have to wait now, nullopt when it would be let through; reserves
// nothing. Without memory nobody waits.
std::optional<std::int32_t> wait_ms(const std::string& provider);

// A call that a breaker refuses: PT503.
Error refusal(const std::string& provider, std::int32_t retry_after_ms);

// Lets a call through or not. A trial must be reported or given back.
Breaker::Admission admit(const std::string& provider);
// Counts how a call ended and returns the breaker's state after it.
BreakerState report(const std::string& provider, bool ok, std::int64_t latency_ms,
                    std::int64_t trial);
void give_back(const std::string& provider, std::int64_t trial);

// Forgets what is known of the provider; whether anything was.
bool forget(const std::string& provider);

// The measured middle of its latencies in ms; nullopt until there are enough of them.
std::optional<double> median_ms(const std::string& provider);

} // namespace holdfast::provider_health
