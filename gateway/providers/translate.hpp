// Pieces of OpenAI's chat request, read for providers that speak another dialect.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/providers/provider.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::provider {

// An image inside of a URL: `data:<media_type>;base64,<data>`.
struct DataUrl {
  std::string media_type;
  std::string data;
};

// Nothing when it is no data URL in base64.
std::optional<DataUrl> parse_data_url(const std::string& url);

// All text of the message.
std::string text_of(const Message& message);

// What a model wrote as arguments, as an object: {} for nothing, and {"arguments": text} for what
// is no object.
nlohmann::json arguments_object(const std::string& arguments);

// The schema of a response_format of type json_schema; null when there is none.
const nlohmann::json& response_schema(const ChatRequest& request);

// The name of the one function that must be called, "" when the choice names none.
std::string chosen_function(const nlohmann::json& tool_choice);

// The function's definition in an entry of `tools`.
const nlohmann::json& function_of(const nlohmann::json& tool);

// The provider's word in OpenAI's words, "stop" when it is not in the table.
struct FinishWord {
  const char* theirs;
  const char* ours;
};
std::string finish_word(const std::string& theirs, const std::vector<FinishWord>& words);

// A POST of JSON. Headers beyond the usual are the caller's.
HttpRequest json_post(std::string path, bool stream, const nlohmann::json& body);

// A GET of JSON, the same.
HttpRequest plain_get(std::string path);

} // namespace holdfast::provider
