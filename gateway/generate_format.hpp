// The chat call in the shape of /api/ai: what a client sends, and what it gets back. Pure.
#pragma once

#include "gateway/json_text.hpp"
#include "gateway/openai_format.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <variant>

namespace holdfast::generate_format {

// Reads all of a body that makes the prompt and its answer, but not which model is asked. Messages,
// tools and formats are OpenAI's, and are as strictly checked.
std::variant<ChatRequest, openai_format::RequestError>
parse_client_request(const nlohmann::json& body, const openai_format::RequestLimits& limits);

nlohmann::json write_usage(const Usage& usage);

// What the model said: `content` and `finishReason`, and as far as there are any `refusal`,
// `reasoning`, `toolCalls` and `citations`.
void write_choice(const Choice& choice, gateway::ObjectText& body);

// The same of a piece of a stream, but for the reason of its end. Null when it says nothing.
nlohmann::json write_delta(const ChatDelta& delta);

// All that a body says, in one piece.
nlohmann::json delta_of_body(const nlohmann::json& body);

} // namespace holdfast::generate_format
