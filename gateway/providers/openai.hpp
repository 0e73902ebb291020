// OpenAI, Chat Completions.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from the common part in this: reasoning models (the o series, gpt-5) take
// `max_completion_tokens` and refuse `max_tokens`; its streams always mark their end.
class OpenAi : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
  openai_format::TokenLimitField token_limit_field(const std::string& model) const override;
};

} // namespace holdfast::provider
