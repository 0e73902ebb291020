// The members that OpenAI's chat request and that of /api/ai have in common. Internal to the
// parsing of requests: each throws Refusal.
#pragma once

#include "gateway/chat.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace holdfast::openai_format {

// An http, https or data:image URL.
ContentPart read_image_url(const nlohmann::json& url, const std::string& path);

// Each reads its member of the body into the request; where it may be missing it then changes
// nothing. `name` is the member's own, for those that are called differently in the two.
void read_messages(const nlohmann::json& body, ChatRequest& chat);
void read_tools(const nlohmann::json& body, const char* choice_name, ChatRequest& chat);
void read_response_format(const nlohmann::json& body, const std::string& name, ChatRequest& chat);
void read_stop(const nlohmann::json& body, ChatRequest& chat);
void read_seed(const nlohmann::json& body, ChatRequest& chat);

} // namespace holdfast::openai_format
