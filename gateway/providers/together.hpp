// Together AI.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Differs from OpenAI in this: logprobs have another shape; usage comes unasked in the last chunk;
// open models think inside of the content.
class Together : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
};

} // namespace holdfast::provider
