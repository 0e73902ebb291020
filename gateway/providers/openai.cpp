#include "gateway/providers/openai.hpp"

#include <array>
#include <string_view>

namespace holdfast::provider {

OpenAiCompatible::Dialect OpenAi::dialect() const {
  Dialect dialect;
  dialect.always_marks_end = true;
  return dialect;
}

openai_format::TokenLimitField OpenAi::token_limit_field(const std::string& model) const {
  constexpr std::array<std::string_view, 4> kReasoningFamilies = {"o1", "o3", "o4", "gpt-5"};
  std::string_view name = model;
  if (name.substr(0, 3) == "ft:") name.remove_prefix(3);
  for (const std::string_view family : kReasoningFamilies)
    if (name.substr(0, family.size()) == family)
      return openai_format::TokenLimitField::max_completion_tokens;
  return openai_format::TokenLimitField::max_tokens;
}

} // namespace holdfast::provider
