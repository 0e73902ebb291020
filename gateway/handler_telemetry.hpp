// How the gateway and its calls are doing: GET /metrics, /api/ai/telemetry, /api/ai/health/full.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/server.hpp"
#include "gateway/telemetry_cache.hpp"

#include <vector>

namespace holdfast::gateway {

// Whether the sender of a request may read /metrics: with the token where one is set, else from
// this machine itself and through no proxy.
bool may_read_metrics(const Config& config, const httplib::Request& request);

std::vector<Route> telemetry_routes(Services& services, TelemetryCache& telemetry);

} // namespace holdfast::gateway
