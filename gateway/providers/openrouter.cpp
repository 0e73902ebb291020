#include "gateway/providers/openrouter.hpp"

#include "extension/core/usd.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/reported_cost.hpp"

namespace holdfast::provider {

using json_read::member;
using nlohmann::json;

// With a key of the caller's own, the model's provider charges beside OpenRouter.
std::optional<std::string> openrouter_cost(const json& usage, std::string_view text) {
  std::optional<std::string> cost = cost_text(text, {"usage", "cost"});
  const json& own_key = member(usage, "is_byok");
  if (!cost || !own_key.is_boolean() || !own_key.get<bool>()) return cost;
  auto upstream = cost_text(text, {"usage", "cost_details", "upstream_inference_cost"});
  if (!upstream || is_zero_cost(*upstream)) return cost;
  if (is_zero_cost(*cost)) return upstream;
  const auto own_part = Usd::parse(*cost);
  const auto upstream_part = Usd::parse(*upstream);
  if (!own_part || !upstream_part) return std::nullopt;
  return (*own_part + *upstream_part).str();
}

std::string OpenRouter::health_path() const {
  return "/key";
}

std::optional<Usage> OpenRouter::usage_of(const json& body, std::string_view text) const {
  auto usage = OpenAiCompatible::usage_of(body, text);
  if (usage) usage->reported_cost_usd = openrouter_cost(member(body, "usage"), text);
  return usage;
}

void OpenRouter::refine_error(const json& body, ProviderError& error) const {
  const json& metadata = member(member(body, "error"), "metadata");
  const std::string raw = json_read::text(metadata, "raw");
  if (!raw.empty()) error.message = clean_message(error.message + ": " + raw);
  if (member(metadata, "reasons").is_array() && error.error_class == ErrorClass::auth)
    error.error_class = ErrorClass::content_filter;
}

} // namespace holdfast::provider
