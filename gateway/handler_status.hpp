// What the gateway says of itself: GET /api/ai/health and GET /api/ai/providers.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/provider_checks.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

std::vector<Route> status_routes(Services& services, ProviderChecks& checks);

} // namespace holdfast::gateway
