#include "gateway/providers/deepinfra.hpp"

#include "gateway/json_read.hpp"
#include "gateway/providers/reported_cost.hpp"

namespace holdfast::provider {

OpenAiCompatible::Dialect DeepInfra::dialect() const {
  Dialect dialect;
  dialect.features.logprobs = false;
  dialect.features.logit_bias = false;
  dialect.features.max_stops = 16;
  dialect.extras = {"frequency_penalty", "presence_penalty", "reasoning_effort", "user"};
  dialect.stream_options = false;
  dialect.thinks_in_content = true;
  return dialect;
}

std::optional<Usage> DeepInfra::usage_of(const nlohmann::json& body, std::string_view text) const {
  auto usage = OpenAiCompatible::usage_of(body, text);
  if (!usage) return usage;
  const std::int64_t reasoning = json_read::token_count(
      json_read::member(json_read::member(body, "usage"), "completion_tokens_details"),
      "reasoning_tokens");
  // A part that is more than its whole was not in it.
  if (reasoning > usage->completion_tokens) {
    usage->completion_tokens += reasoning;
    usage->reasoning_tokens = reasoning;
  }
  usage->reported_cost_usd = cost_text(text, {"usage", "estimated_cost"});
  return usage;
}

} // namespace holdfast::provider
