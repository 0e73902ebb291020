// Holdfast's own way to ask: POST /api/ai/generate and POST /api/ai/stream.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

std::vector<Route> generate_routes(Services& services);

} // namespace holdfast::gateway
