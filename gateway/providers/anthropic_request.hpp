// A chat request in the words of Anthropic's Messages API.
#pragma once

#include "gateway/chat.hpp"

#include <nlohmann/json.hpp>

namespace holdfast::provider {

nlohmann::json anthropic_body(const ChatRequest& request);

// True when the request needs structured outputs: a schema for the answer, or strict functions.
bool wants_structured_outputs(const ChatRequest& request);

// True for the models before structured outputs.
bool is_older_claude(const std::string& model);

} // namespace holdfast::provider
