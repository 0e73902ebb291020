#include "gateway/generate_format.hpp"

#include "extension/core/input_text.hpp"
#include "gateway/openai_fields.hpp"
#include "gateway/openai_members.hpp"

#include <algorithm>

namespace holdfast::generate_format {
namespace {

using namespace openai_format; // the readers of members
using nlohmann::json;

constexpr std::size_t kMaxImages = 100;

Message message(const char* role, std::string text) {
  Message made;
  made.role = role;
  made.parts.push_back({ContentPart::Kind::text, std::move(text), {}});
  return made;
}

void read_system(const json& body, ChatRequest& chat) {
  const json& system = optional_member(body, "systemPrompt");
  if (system.is_null()) return;
  std::string text = read_text(system, "systemPrompt");
  if (!text.empty()) chat.messages.push_back(message("system", std::move(text)));
}

void read_images(const json& body, Message& prompt) {
  const json& images = optional_member(body, "images");
  if (images.is_null()) return;
  require_array(images, "images", 0, kMaxImages);
  for (std::size_t i = 0; i < images.size(); ++i)
    prompt.parts.push_back(read_image_url(images[i], join_path("images", i)));
}

// The prompt follows the messages; one of the two is needed.
void read_prompt(const json& body, ChatRequest& chat) {
  const bool has_messages = !optional_member(body, "messages").is_null();
  if (has_messages) read_messages(body, chat);
  const json& prompt = optional_member(body, "prompt");
  if (prompt.is_null() && has_messages) {
    if (!optional_member(body, "images").is_null())
      refuse_value("images", "is only allowed together with `prompt`.");
    return;
  }
  if (!prompt.is_string() || normalized_input(prompt.get<std::string>()).empty())
    throw Refusal{{"prompt", "The field prompt must be a text that is not empty.", "bad_value"}};
  Message asked = message("user", read_text(prompt, "prompt"));
  read_images(body, asked);
  chat.messages.push_back(std::move(asked));
}

void read_sampling(const json& body, const RequestLimits& limits, ChatRequest& chat) {
  const json& temperature = optional_member(body, "temperature");
  if (!temperature.is_null()) chat.temperature = read_number(temperature, "temperature", 0, 2);
  const json& top_p = optional_member(body, "topP");
  if (!top_p.is_null()) chat.top_p = read_number(top_p, "topP", 0, 1);
  const json& most = optional_member(body, "maxTokens");
  chat.max_tokens = std::min(limits.default_max_tokens, limits.max_completion_tokens);
  if (!most.is_null())
    chat.max_tokens =
        static_cast<int>(read_integer(most, "maxTokens", 1, limits.max_completion_tokens));
  read_seed(body, chat);
  read_stop(body, chat);
}

} // namespace

std::variant<ChatRequest, RequestError> parse_client_request(const json& body,
                                                             const RequestLimits& limits) {
  ChatRequest chat;
  try {
    read_system(body, chat);
    read_prompt(body, chat);
    read_sampling(body, limits, chat);
    read_tools(body, "toolChoice", chat);
    read_response_format(body, "responseFormat", chat);
    const json& parallel = optional_member(body, "parallelToolCalls");
    if (!parallel.is_null())
      chat.extra["parallel_tool_calls"] = read_bool(parallel, "parallelToolCalls");
  } catch (const Refusal& refusal) {
    return refusal.error;
  }
  return chat;
}

} // namespace holdfast::generate_format
