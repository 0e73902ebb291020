// Mistral, La Plateforme.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from OpenAI in this: `random_seed`; ids of tool calls have nine letters and digits; no
// developer role, names or refusals in messages; no logprobs, no logit_bias; usage comes unasked in
// the last chunk; reasoning is a kind of content.
class Mistral : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
  void finish_body(nlohmann::json& body) const override;
};

// The id itself when Mistral takes it, else nine letters and digits made of it, always the same.
std::string mistral_call_id(const std::string& id);

} // namespace holdfast::provider
