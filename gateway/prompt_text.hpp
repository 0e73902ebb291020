// What becomes of the texts of a prompt before it is counted, kept or sent.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/embedding.hpp"

namespace holdfast::gateway {

// Takes NUL out of all texts, and normalizes what people write: messages of system, developer and
// user (normalized_input()). What models and tools have said may be data, of which blanks are a
// part.
void normalize_prompt(ChatRequest& request);
void normalize_prompt(EmbeddingRequest& request);

// Puts marks in the place of what identifies people or opens accounts, in messages, calls of tools
// and their results. Definitions of tools and images stay as they are.
void redact_prompt(ChatRequest& request);
void redact_prompt(EmbeddingRequest& request);

} // namespace holdfast::gateway
