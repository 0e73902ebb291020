// The rules that the database keeps for all gateways.
#pragma once

#include "gateway/database_pool.hpp"

#include <optional>
#include <string>

namespace holdfast::gateway {

// Numbers as text; nothing where there is no such limit, or no shared memory to keep it in.
struct RulesInForce {
  std::optional<std::string> user_rpm;
  std::optional<std::string> global_rpm;
  std::optional<std::string> breaker_threshold_percent;
  std::optional<std::string> breaker_open_ms;
  std::optional<std::string> workflow_steps;
  std::optional<std::string> workflow_cost_usd;
  std::optional<std::string> workflow_runtime_ms;
};

RulesInForce read_rules(DatabasePool& pool);

// What an operator runs to change a rule for all gateways.
std::string statement_to_limit(const std::string& layer, const std::string& requests);
std::string statement_to_set(const std::string& setting, const std::string& value);

} // namespace holdfast::gateway
