// /api/intent: workflows from an idea to a published article, step by step.
#pragma once

#include "gateway/database_intent.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/run_news.hpp"
#include "gateway/server.hpp"

#include <vector>

namespace holdfast::gateway {

// All of them must outlive the routes.
std::vector<Route> intent_routes(Services& services, IntentDatabase& workflows, RunDatabase& runs,
                                 RunNews& news);

} // namespace holdfast::gateway
