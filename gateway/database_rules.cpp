#include "gateway/database_rules.hpp"

namespace holdfast::gateway {
namespace {

// The settings are there once the library is loaded, which it is not by a session's start alone.
constexpr Statement kReadRules{
    "holdfast_read_rules",
    "SELECT max(l.requests) FILTER (WHERE l.layer = 'user' AND s.in_memory),"
    " max(l.requests) FILTER (WHERE l.layer = 'global' AND s.in_memory),"
    " max(s.threshold), max(s.open_ms), max(s.steps), max(s.cost), max(s.runtime_ms)"
    " FROM holdfast.get_rate_limits() l,"
    " (SELECT count(*) FILTER (WHERE name = 'holdfast.rate_limit_memory') > 0 AS in_memory,"
    "  max(setting) FILTER (WHERE name = 'holdfast.breaker_threshold_percent') AS threshold,"
    "  max(setting) FILTER (WHERE name = 'holdfast.breaker_open_ms') AS open_ms,"
    "  max(setting) FILTER (WHERE name = 'holdfast.max_workflow_steps') AS steps,"
    "  max(setting) FILTER (WHERE name = 'holdfast.max_workflow_cost') AS cost,"
    "  max(setting) FILTER (WHERE name = 'holdfast.max_workflow_runtime_ms') AS runtime_ms"
    "  FROM pg_settings) s"
    " WHERE l.route = '' AND l.window_ms = 60000 AND holdfast.normalize_model('x') IS NOT NULL",
    true};

} // namespace

RulesInForce read_rules(DatabasePool& pool) {
  const Rows rows = pool.run(kReadRules, {});
  return {rows.get(0, 0), rows.get(0, 1), rows.get(0, 2), rows.get(0, 3),
          rows.get(0, 4), rows.get(0, 5), rows.get(0, 6)};
}

std::string statement_to_limit(const std::string& layer, const std::string& requests) {
  return "SELECT holdfast.set_rate_limit('" + layer + "', " + requests + ")";
}

std::string statement_to_set(const std::string& setting, const std::string& value) {
  return "ALTER SYSTEM SET " + setting + " = " + value +
         ", with holdfast in shared_preload_libraries, and reload the server";
}

} // namespace holdfast::gateway
