// Perplexity, Sonar.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from OpenAI in this: it searches the web and cites pages beside the choices; no
// functions, stop, seed or choices; usage and its cost come in every chunk, complete in the last,
// which is marked as such: there is no `[DONE]`.
class Perplexity : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
  std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const override;
  std::vector<Citation> citations_of(const nlohmann::json& body) const override;
  bool is_last_chunk(const nlohmann::json& chunk) const override;
};

} // namespace holdfast::provider
