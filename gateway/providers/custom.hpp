// Any server that speaks OpenAI's chat API (vLLM, Ollama, llama.cpp), at the operator's base URL.
#pragma once

#include "gateway/providers/openai_compatible.hpp"

namespace holdfast::provider {

// Nothing is known of the server, so nothing is refused before the call.
class Custom : public OpenAiCompatible {
protected:
  Dialect dialect() const override;
};

} // namespace holdfast::provider
