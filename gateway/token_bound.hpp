// Upper bounds on tokens, so that a hold is never smaller than the cost.
#pragma once

#include "gateway/chat.hpp"

#include <cstdint>

namespace holdfast {

// Bytes of all text a prompt carries: contents, names, tool definitions and calls, schemas. Images
// are not text: their URLs do not count.
std::int64_t prompt_bytes(const ChatRequest& request);

// No tokenizer that works on bytes makes more prompt tokens than this: a token for each byte of
// text, 8 per message, 16 for the frame, 1024 where there are tools and 32 for each, and for each
// image what the dearest documented tiling takes.
std::int64_t prompt_token_bound(const ChatRequest& request);

// What the prompt probably takes, for settling a call whose provider gave no count: a token for
// each four bytes begun, and the images' bound. Never above prompt_token_bound().
std::int64_t prompt_token_estimate(const ChatRequest& request);

// max_tokens for each of the choices.
std::int64_t completion_token_bound(const ChatRequest& request);

} // namespace holdfast
