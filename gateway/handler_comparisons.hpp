// Variants of steps compared by what became of their runs, and runs that are run once more.
#pragma once

#include "gateway/database_runs.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/run_news.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

// The three must outlive the routes.
std::vector<Route> comparison_routes(Services& services, RunDatabase& runs, RunNews& news);

} // namespace holdfast::gateway
