// POST /v1/embeddings.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/server.hpp"

namespace holdfast::gateway {

std::vector<Route> embedding_routes(Services& services);

} // namespace holdfast::gateway
