#include "gateway/requirements.hpp"

#include "gateway/database_rules.hpp"
#include "gateway/database_tokens.hpp"

#include <stdexcept>

namespace holdfast::gateway {
namespace {

// One gateway must not limit what others let through: it refuses, and tells how all are changed.
void require_rule(const char* variable, const std::optional<int>& wanted,
                  const std::optional<std::string>& kept, const std::string& statement) {
  if (!wanted || kept == std::to_string(*wanted)) return;
  throw std::runtime_error(std::string(variable) + " is " + std::to_string(*wanted) +
                           ", but the database, which keeps this rule for all gateways, has " +
                           kept.value_or("none") + ". To change it for all: " + statement);
}

void require_rules(const ExpectedRules& rules, DatabasePool& pool) {
  const bool any = rules.user_rpm || rules.global_rpm || rules.breaker_threshold_percent ||
                   rules.breaker_cooldown_ms;
  if (!any) return;
  const RulesInForce kept = read_rules(pool);
  require_rule("ORCHESTRATOR_RATE_LIMIT_USER_RPM", rules.user_rpm, kept.user_rpm,
               statement_to_limit("user", rules.user_rpm.value_or(0)));
  require_rule("ORCHESTRATOR_RATE_LIMIT_GLOBAL_RPM", rules.global_rpm, kept.global_rpm,
               statement_to_limit("global", rules.global_rpm.value_or(0)));
  require_rule("ORCHESTRATOR_CIRCUIT_BREAKER_THRESHOLD", rules.breaker_threshold_percent,
               kept.breaker_threshold_percent,
               statement_to_set("holdfast.breaker_threshold_percent",
                                rules.breaker_threshold_percent.value_or(0)));
  require_rule("ORCHESTRATOR_CIRCUIT_BREAKER_COOLDOWN_MS", rules.breaker_cooldown_ms,
               kept.breaker_open_ms,
               statement_to_set("holdfast.breaker_open_ms", rules.breaker_cooldown_ms.value_or(0)));
}

} // namespace

void require_in_database(const Config& config, DatabasePool& pool) {
  if (config.tokens && !TokenDatabase(pool).may_register())
    throw std::runtime_error(
        "tokens are to be taken (--jwt-keys, HOLDFAST_JWT_SECRET), but the database does not let "
        "this role register them. GRANT EXECUTE ON FUNCTION holdfast.register_token TO it");
  require_rules(config.rules, pool);
}

} // namespace holdfast::gateway
