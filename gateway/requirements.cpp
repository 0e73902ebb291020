#include "gateway/requirements.hpp"

#include "extension/core/usd.hpp"
#include "gateway/database_rules.hpp"
#include "gateway/database_tokens.hpp"

#include <stdexcept>

namespace holdfast::gateway {
namespace {

using Wanted = std::optional<std::string>;

Wanted text_of(const std::optional<int>& number) {
  return number ? Wanted(std::to_string(*number)) : std::nullopt;
}

Wanted amount_of(const Wanted& usd) {
  return usd ? Wanted(Usd::parse(*usd).value().str()) : std::nullopt;
}

// One gateway must not limit what others let through: it refuses, and tells how all are changed.
void require_rule(const char* variable, const Wanted& wanted,
                  const std::optional<std::string>& kept, const std::string& statement) {
  if (!wanted || kept == wanted) return;
  throw std::runtime_error(std::string(variable) + " is " + *wanted +
                           ", but the database, which keeps this rule for all gateways, has " +
                           kept.value_or("none") + ". To change it for all: " + statement);
}

void require_limit(const char* variable, const char* layer, const Wanted& wanted,
                   const std::optional<std::string>& kept) {
  require_rule(variable, wanted, kept, statement_to_limit(layer, wanted.value_or("")));
}

void require_setting(const char* variable, const char* setting, const Wanted& wanted,
                     const std::optional<std::string>& kept) {
  require_rule(variable, wanted, kept, statement_to_set(setting, wanted.value_or("")));
}

void require_rules(const ExpectedRules& rules, DatabasePool& pool) {
  const bool any = rules.user_rpm || rules.global_rpm || rules.breaker_threshold_percent ||
                   rules.breaker_cooldown_ms || rules.workflow_steps || rules.workflow_cost_usd ||
                   rules.workflow_runtime_ms;
  if (!any) return;
  const RulesInForce kept = read_rules(pool);
  require_limit("ORCHESTRATOR_RATE_LIMIT_USER_RPM", "user", text_of(rules.user_rpm), kept.user_rpm);
  require_limit("ORCHESTRATOR_RATE_LIMIT_GLOBAL_RPM", "global", text_of(rules.global_rpm),
                kept.global_rpm);
  require_setting("ORCHESTRATOR_CIRCUIT_BREAKER_THRESHOLD", "holdfast.breaker_threshold_percent",
                  text_of(rules.breaker_threshold_percent), kept.breaker_threshold_percent);
  require_setting("ORCHESTRATOR_CIRCUIT_BREAKER_COOLDOWN_MS", "holdfast.breaker_open_ms",
                  text_of(rules.breaker_cooldown_ms), kept.breaker_open_ms);
  require_setting("ORCHESTRATOR_MAX_WORKFLOW_STEPS", "holdfast.max_workflow_steps",
                  text_of(rules.workflow_steps), kept.workflow_steps);
  require_setting("ORCHESTRATOR_MAX_WORKFLOW_COST", "holdfast.max_workflow_cost",
                  amount_of(rules.workflow_cost_usd), amount_of(kept.workflow_cost_usd));
  require_setting("ORCHESTRATOR_MAX_WORKFLOW_RUNTIME_MS", "holdfast.max_workflow_runtime_ms",
                  text_of(rules.workflow_runtime_ms), kept.workflow_runtime_ms);
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
