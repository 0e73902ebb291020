// OpenRouter.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from OpenAI in this: usage has the cost in USD; an error of the model's own provider is
// wrapped; a moderated prompt is a 403.
class OpenRouter : public OpenAiCompatible {
protected:
  std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const override;
  void refine_error(const nlohmann::json& body, ProviderError& error) const override;
};

} // namespace holdfast::provider
