// One attempt to get embeddings of a provider, or of the sandbox.
#pragma once

#include "gateway/call.hpp"
#include "gateway/embedding.hpp"

namespace holdfast::gateway {

// `exhausted_ms` is as ProviderCall::exhausted_ms().
struct EmbeddingAttempt {
  std::variant<EmbeddingAnswer, ProviderError> result;
  std::optional<int> exhausted_ms;
};

// Blocking. `client_gone` as ProviderCall::start() takes it. Throws std::invalid_argument when
// `config.name` is no provider with embeddings.
EmbeddingAttempt embed(Transport& transport, const EmbeddingRequest& request,
                       const ProviderConfig& config, const TransportLimits& limits,
                       std::function<bool()> client_gone);

} // namespace holdfast::gateway
