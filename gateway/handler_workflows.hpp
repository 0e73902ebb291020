// /api/workflows: definitions, runs, and what happens in them.
#pragma once

#include "gateway/database_runs.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/run_news.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

// The three must outlive the routes.
std::vector<Route> workflow_routes(Services& services, RunDatabase& runs, RunNews& news);

} // namespace holdfast::gateway
