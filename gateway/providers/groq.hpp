// Groq.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from OpenAI in this: one choice only, no logprobs, no logit_bias, no names of
// participants; a stream's usage comes in `x_groq` of its last chunk; errors in a stream end it.
class Groq : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
  openai_format::TokenLimitField token_limit_field(const std::string& model) const override;
  void finish_body(nlohmann::json& body) const override;
  std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const override;
};

} // namespace holdfast::provider
