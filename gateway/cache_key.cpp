#include "gateway/cache_key.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/ids.hpp"

namespace holdfast::gateway {
namespace {

using nlohmann::json;

json message_json(const Message& message) {
  json parts = json::array();
  for (const ContentPart& part : message.parts)
    parts.push_back({static_cast<int>(part.kind), part.text, part.detail});
  json calls = json::array();
  for (const ToolCall& call : message.tool_calls)
    calls.push_back({call.id, call.name, call.arguments});
  return {message.role,         std::move(parts), std::move(calls),
          message.tool_call_id, message.name,     message.refusal};
}

json candidates_json(const std::vector<Candidate>& candidates) {
  json list = json::array();
  for (const Candidate& candidate : candidates)
    list.push_back({candidate.provider, candidate.model});
  return list;
}

template <class Value>
json optional_json(const std::optional<Value>& value) {
  return value ? json(*value) : json();
}

// What a provider is told, but answers the same without.
json answering_extra(json extra) {
  for (const char* name : {"user", "metadata", "safety_identifier", "prompt_cache_key", "store"})
    extra.erase(name);
  return extra;
}

} // namespace

std::string cache_key(const CallOrder& order, std::string_view dialect) {
  const ChatRequest& chat = order.chat;
  json messages = json::array();
  for (const Message& message : chat.messages)
    messages.push_back(message_json(message));
  const json whole = {{"organization", order.controls.key.organization_id},
                      {"dialect", dialect},
                      {"model", chat.model},
                      {"provider", optional_json(order.provider)},
                      {"candidates", candidates_json(order.candidates)},
                      {"routing", order.routing},
                      {"fallbacks", optional_json(order.fallbacks)},
                      {"capabilities", order.capabilities},
                      {"messages", std::move(messages)},
                      {"tools", chat.tools},
                      {"toolChoice", chat.tool_choice},
                      {"responseFormat", chat.response_format},
                      {"stop", chat.stop},
                      {"temperature", optional_json(chat.temperature)},
                      {"topP", optional_json(chat.top_p)},
                      {"seed", optional_json(chat.seed)},
                      {"maxTokens", chat.max_tokens},
                      {"choices", chat.choices},
                      {"extra", answering_extra(chat.extra)}};
  return sha256(dump_json(whole));
}

} // namespace holdfast::gateway
