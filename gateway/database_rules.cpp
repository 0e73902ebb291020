#include "gateway/database_rules.hpp"

namespace holdfast::gateway {
namespace {

constexpr Statement kReadRules{
    "holdfast_read_rules",
    "SELECT max(l.requests) FILTER (WHERE l.layer = 'user' AND s.in_memory),"
    " max(l.requests) FILTER (WHERE l.layer = 'global' AND s.in_memory),"
    " max(s.threshold), max(s.open_ms)"
    " FROM holdfast.get_rate_limits() l,"
    " (SELECT count(*) FILTER (WHERE name = 'holdfast.rate_limit_memory') > 0 AS in_memory,"
    "  max(setting) FILTER (WHERE name = 'holdfast.breaker_threshold_percent') AS threshold,"
    "  max(setting) FILTER (WHERE name = 'holdfast.breaker_open_ms') AS open_ms"
    "  FROM pg_settings) s"
    " WHERE l.route = '' AND l.window_ms = 60000",
    true};

} // namespace

RulesInForce read_rules(DatabasePool& pool) {
  const Rows rows = pool.run(kReadRules, {});
  return {rows.get(0, 0), rows.get(0, 1), rows.get(0, 2), rows.get(0, 3)};
}

std::string statement_to_limit(const std::string& layer, int requests) {
  return "SELECT holdfast.set_rate_limit('" + layer + "', " + std::to_string(requests) + ")";
}

std::string statement_to_set(const std::string& setting, int value) {
  return "ALTER SYSTEM SET " + setting + " = " + std::to_string(value) +
         ", with holdfast in shared_preload_libraries, and reload the server";
}

} // namespace holdfast::gateway
