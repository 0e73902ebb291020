#include "gateway/providers/reported_cost.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>

namespace holdfast::provider {

namespace {

constexpr std::size_t kMaxCostBytes = 40;
// More than two digits of an exponent are no money.
constexpr std::size_t kMaxExponentBytes = 2;

bool is_cost(std::string_view text) {
  if (text.size() > kMaxCostBytes || !gateway::is_json_number(text) || text.front() == '-')
    return false;
  const std::size_t e = text.find_first_of("eE");
  if (e == std::string_view::npos) return true;
  std::string_view exponent = text.substr(e + 1);
  if (exponent.front() == '+' || exponent.front() == '-') exponent.remove_prefix(1);
  return exponent.size() <= kMaxExponentBytes;
}

} // namespace

std::optional<std::string> cost_text(std::string_view json_text,
                                     const std::vector<std::string>& path) {
  std::string value(json_text);
  for (const std::string& name : path) {
    const auto members = gateway::object_members(value);
    if (!members) return std::nullopt;
    const auto found = std::find_if(members->rbegin(), members->rend(),
                                    [&](const auto& known) { return known.first == name; });
    if (found == members->rend()) return std::nullopt;
    value = found->second;
  }
  if (!is_cost(value)) return std::nullopt;
  return value;
}

bool is_zero_cost(std::string_view cost) {
  return cost.substr(0, cost.find_first_of("eE")).find_first_of("123456789") ==
         std::string_view::npos;
}

} // namespace holdfast::provider
