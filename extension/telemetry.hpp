#pragma once

#include "extension/core/usd.hpp"
#include "extension/pg/postgres.hpp"

#include <cstdint>
#include <string>

// How calls were routed and what they cost, counted since the server's start in shared memory, so
// that every gateway tells the same. Where the library is not preloaded nothing is counted.
namespace holdfast::telemetry {

// Requests the memory.
void start();

// A call was opened: the strategy chose this provider.
void count_choice(const std::string& provider, const std::string& strategy);

// A call of the provider was charged.
void count_charge(const std::string& provider, std::int64_t tokens, Usd cost);

// A call went on with another provider after one had failed.
void count_fallback(const std::string& from, const std::string& to);

} // namespace holdfast::telemetry
