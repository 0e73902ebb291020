// A chat request in the words of Gemini's generateContent.
#pragma once

#include "gateway/chat.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace holdfast::provider {

// The model and the method; a model's name cannot leave its place in the path.
std::string gemini_path(const ChatRequest& request);

// `models/` and the name, fit for a path.
std::string gemini_model_path(const std::string& model);

nlohmann::json gemini_body(const ChatRequest& request);

} // namespace holdfast::provider
