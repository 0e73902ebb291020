// /api/workflows/batches: one workflow over many inputs.
#pragma once

#include "gateway/database_batches.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/run_news.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

// The three must outlive the routes.
std::vector<Route> batch_routes(Services& services, BatchDatabase& batches, RunNews& news);

} // namespace holdfast::gateway
