#include "gateway/providers/groq.hpp"

#include "gateway/json_read.hpp"

namespace holdfast::provider {

OpenAiCompatible::Dialect Groq::dialect() const {
  Dialect dialect;
  dialect.features.logprobs = false;
  dialect.features.logit_bias = false;
  dialect.features.max_choices = 1;
  dialect.features.max_stops = 4;
  dialect.extras = {"frequency_penalty", "presence_penalty", "parallel_tool_calls",
                    "reasoning_effort", "user"};
  dialect.thinks_in_content = true;
  return dialect;
}

openai_format::TokenLimitField Groq::token_limit_field(const std::string& /*model*/) const {
  return openai_format::TokenLimitField::max_completion_tokens;
}

void Groq::finish_body(nlohmann::json& body) const {
  for (nlohmann::json& message : body["messages"])
    message.erase("name");
}

std::optional<Usage> Groq::usage_of(const nlohmann::json& body, std::string_view text) const {
  if (auto usage = OpenAiCompatible::usage_of(body, text)) return usage;
  return openai_format::parse_usage(json_read::member(json_read::member(body, "x_groq"), "usage"));
}

} // namespace holdfast::provider
