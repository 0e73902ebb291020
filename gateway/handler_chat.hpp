// OpenAI's chat API: POST /v1/chat/completions and GET /v1/models.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

std::vector<Route> chat_routes(Services& services);

} // namespace holdfast::gateway
