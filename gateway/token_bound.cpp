#include "gateway/token_bound.hpp"

#include "gateway/bounded_json.hpp"

namespace holdfast {

namespace {

constexpr std::int64_t kTokensPerMessage = 8;
constexpr std::int64_t kTokensPerTool = 32;
constexpr std::int64_t kTokensPerFrame = 16;
// With tools some models are given a page of instructions: a recorded call with one small function
// was counted as 717 tokens.
constexpr std::int64_t kTokensForTools = 1024;
constexpr std::int64_t kBytesPerToken = 4;

// gpt-4o-mini has the dearest tiling: 2833 tokens, and 5667 for each of at most 8 tiles.
constexpr std::int64_t kLowDetailImageTokens = 2833;
constexpr std::int64_t kImageTokens = 2833 + 8 * 5667;

std::int64_t size_of(const std::string& text) {
  return static_cast<std::int64_t>(text.size());
}

std::int64_t json_bytes(const nlohmann::json& document) {
  return document.is_null() ? 0 : size_of(dump_json(document));
}

std::int64_t message_bytes(const Message& message) {
  std::int64_t bytes = size_of(message.role) + size_of(message.name) + size_of(message.refusal) +
                       size_of(message.tool_call_id);
  for (const ContentPart& part : message.parts)
    if (part.kind == ContentPart::Kind::text) bytes += size_of(part.text);
  for (const ToolCall& call : message.tool_calls)
    bytes += size_of(call.id) + size_of(call.name) + size_of(call.arguments);
  return bytes;
}

std::int64_t image_tokens(const ChatRequest& request) {
  std::int64_t tokens = 0;
  for (const Message& message : request.messages)
    for (const ContentPart& part : message.parts)
      if (part.kind == ContentPart::Kind::image_url)
        tokens += part.detail == "low" ? kLowDetailImageTokens : kImageTokens;
  return tokens;
}

// Frames around messages and tools; a call in a message is framed like a message.
std::int64_t frame_tokens(const ChatRequest& request) {
  std::int64_t tokens = kTokensPerFrame;
  for (const Message& message : request.messages)
    tokens += kTokensPerMessage * (1 + static_cast<std::int64_t>(message.tool_calls.size()));
  if (request.tools.is_array() && !request.tools.empty())
    tokens += kTokensForTools + kTokensPerTool * static_cast<std::int64_t>(request.tools.size());
  return tokens;
}

} // namespace

std::int64_t prompt_bytes(const ChatRequest& request) {
  std::int64_t bytes = json_bytes(request.tools) + json_bytes(request.tool_choice) +
                       json_bytes(request.response_format);
  for (const Message& message : request.messages)
    bytes += message_bytes(message);
  return bytes;
}

std::int64_t prompt_token_bound(const ChatRequest& request) {
  return prompt_bytes(request) + frame_tokens(request) + image_tokens(request);
}

std::int64_t prompt_token_estimate(const ChatRequest& request) {
  return (prompt_bytes(request) + kBytesPerToken - 1) / kBytesPerToken + image_tokens(request);
}

std::int64_t completion_token_bound(const ChatRequest& request) {
  return static_cast<std::int64_t>(request.max_tokens) * request.choices;
}

} // namespace holdfast
