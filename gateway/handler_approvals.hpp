// Approvals of dear calls: GET /api/ai/approvals, and an admin's word on one.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/server.hpp"

namespace holdfast::gateway {

std::vector<Route> approval_routes(Services& services);

} // namespace holdfast::gateway
