// A deterministic provider inside the gateway, for the demo and for development: no key, no
// network.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/embedding.hpp"

#include <vector>

namespace holdfast::provider::sandbox {

// The answer: text that begins with "[sandbox]" and is exactly max_tokens words long in each
// choice. One word is one token and the prompt counts as its bound, so that the cost equals the
// hold. `created` is 0. The same request gives the same answer.
ChatAnswer answer(const ChatRequest& request);

// The same answer as a stream of at most 64 pieces a choice, then the finish, the usage, and
// `done`.
std::vector<StreamEvent> stream(const ChatRequest& request);

// Vectors of length 1 with as many dimensions as were asked for, 1536 when none were. The same
// input has the same vector; the cost equals the hold.
EmbeddingAnswer embed(const EmbeddingRequest& request);

} // namespace holdfast::provider::sandbox
