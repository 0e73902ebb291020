// OpenRouter.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// What an answer says that it cost, in the whole. `usage` is the member of that name, `text` the
// answer's JSON as it was written.
std::optional<std::string> openrouter_cost(const nlohmann::json& usage, std::string_view text);

// Differs from OpenAI in this: usage has the cost in USD; an error of the model's own provider is
// wrapped; a moderated prompt is a 403; its models are listed to anybody.
class OpenRouter : public OpenAiCompatible {
protected:
  std::string health_path() const override;
  std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const override;
  void refine_error(const nlohmann::json& body, ProviderError& error) const override;
};

} // namespace holdfast::provider
