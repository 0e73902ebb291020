#include "gateway/providers/together.hpp"

namespace holdfast::provider {

OpenAiCompatible::Dialect Together::dialect() const {
  Dialect dialect;
  dialect.features.logprobs = false;
  dialect.extras = {"frequency_penalty", "presence_penalty", "logit_bias", "reasoning_effort"};
  dialect.stream_options = false;
  dialect.thinks_in_content = true;
  return dialect;
}

} // namespace holdfast::provider
