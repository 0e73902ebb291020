// DeepInfra.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from OpenAI in this: no logprobs, no logit_bias; usage comes unasked in the last chunk,
// with the cost; for some models the completion's count leaves the reasoning out.
class DeepInfra : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
  std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const override;
};

} // namespace holdfast::provider
