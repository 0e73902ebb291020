// What the settings of this gateway need of the database.
#pragma once

#include "gateway/config.hpp"
#include "gateway/database_pool.hpp"

namespace holdfast::gateway {

// Throws std::runtime_error, with what an operator is to run there, when the database does not let
// this role register tokens, or keeps other rules for all gateways than this one's settings say.
void require_in_database(const Config& config, DatabasePool& pool);

} // namespace holdfast::gateway
