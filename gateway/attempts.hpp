// The attempts of one call: tried again, handed on to the next provider of its chain, or given up.
#pragma once

#include "gateway/governed_call.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <variant>

namespace holdfast::gateway {

// A stream that has begun: the attempt, and the first event that was read of it.
struct BegunStream {
  std::unique_ptr<ProviderCall> attempt;
  std::optional<StreamEvent> first;
};

// Asks the call's provider until one answers. Failures that may pass are tried again at the same
// provider, after its own delay or a growing one with jitter, and then handed on; those of one
// provider's account or key are handed on at once. Nothing new begins after the retry deadline. The
// last failure is returned, its call still to be resolved. `stopped` ends the waiting.
std::variant<ChatAnswer, ProviderError> answer_of(GovernedCall& call,
                                                  const std::function<bool()>& stopped);

// The same for embeddings.
std::variant<EmbeddingAnswer, ProviderError> embeddings_of(GovernedCall& call,
                                                           const std::function<bool()>& stopped);

// The same for a stream. Once its first event is there, nothing is tried again.
std::variant<BegunStream, ProviderError> begin_stream_of(GovernedCall& call,
                                                         const std::function<bool()>& stopped);

// How long to wait before attempt number `failures` + 1 at a provider: its own word, else 250 ms
// doubled each time, of which a random half is left away.
std::int64_t retry_wait_ms(const ProviderError& error, int failures, double random);

// True when the same provider may answer the same request later.
bool may_pass(const ProviderError& error);

// True when another provider may answer it.
bool may_be_handed_on(const ProviderError& error);

} // namespace holdfast::gateway
