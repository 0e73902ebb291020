// POST /v1/messages: Anthropic's messages API, to any provider.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

std::vector<Route> messages_routes(Services& services);

} // namespace holdfast::gateway
