// What the database tells of how calls go.
#pragma once

#include "gateway/database_pool.hpp"

#include <string>

namespace holdfast::gateway {

// On the pool's connections; throws as Database does. Safe for use by many threads.
class StatusDatabase {
public:
  explicit StatusDatabase(DatabasePool& pool) : pool_(pool) {}

  // Prepares every statement. Throws as Database::check() does.
  void check();

  // The telemetry of all gateways, as JSON text.
  std::string telemetry();

private:
  DatabasePool& pool_;
};

} // namespace holdfast::gateway
