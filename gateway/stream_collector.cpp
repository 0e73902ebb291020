#include "gateway/stream_collector.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

// Pieces name their call by index; an index is no reason to allocate as much as it says.
constexpr int kMostToolCalls = 1024;

void add_tool_call_piece(Choice& choice, const ChatDelta::ToolCallPiece& piece) {
  if (piece.index < 0 || piece.index >= kMostToolCalls) return;
  const auto place = static_cast<std::size_t>(piece.index);
  if (choice.tool_calls.size() <= place) choice.tool_calls.resize(place + 1);
  ToolCall& call = choice.tool_calls[place];
  if (call.id.empty()) call.id = piece.id;
  if (call.name.empty()) call.name = piece.name;
  call.arguments += piece.arguments;
}

// OpenAI's logprobs: an object of lists, which grow piece by piece.
void add_logprobs(nlohmann::json& whole, const nlohmann::json& piece) {
  if (!piece.is_object()) return;
  if (!whole.is_object()) whole = nlohmann::json::object();
  for (const auto& [name, list] : piece.items()) {
    nlohmann::json& target = whole[name];
    if (list.is_array() && target.is_array()) {
      target.insert(target.end(), list.begin(), list.end());
    } else if (!list.is_null() || target.is_null()) {
      target = list;
    }
  }
}

} // namespace

Choice& StreamCollector::choice(int index) {
  auto& choices = answer_.choices;
  const auto found = std::find_if(choices.begin(), choices.end(),
                                  [&](const Choice& known) { return known.index == index; });
  if (found != choices.end()) return *found;
  choices.emplace_back();
  choices.back().index = index;
  return choices.back();
}

void StreamCollector::add(const StreamEvent& event) {
  if (answer_.id.empty()) answer_.id = event.id;
  if (answer_.model.empty()) answer_.model = event.model;
  if (answer_.created == 0) answer_.created = event.created;
  for (const ChatDelta& delta : event.deltas) {
    Choice& whole = choice(delta.index);
    whole.content += delta.content;
    whole.refusal += delta.refusal;
    whole.reasoning += delta.reasoning;
    whole.citations.insert(whole.citations.end(), delta.citations.begin(), delta.citations.end());
    if (!delta.finish_reason.empty()) whole.finish_reason = delta.finish_reason;
    for (const auto& piece : delta.tool_calls)
      add_tool_call_piece(whole, piece);
    add_logprobs(whole.logprobs, delta.logprobs);
  }
}

StreamEvent as_event(const ChatAnswer& answer) {
  StreamEvent event;
  event.id = answer.id;
  event.model = answer.model;
  event.created = answer.created;
  for (const Choice& choice : answer.choices) {
    ChatDelta delta;
    delta.index = choice.index;
    delta.content = choice.content;
    delta.refusal = choice.refusal;
    delta.reasoning = choice.reasoning;
    delta.citations = choice.citations;
    delta.finish_reason = choice.finish_reason;
    delta.logprobs = choice.logprobs;
    for (std::size_t i = 0; i < choice.tool_calls.size(); ++i) {
      const ToolCall& call = choice.tool_calls[i];
      delta.tool_calls.push_back({static_cast<int>(i), call.id, call.name, call.arguments});
    }
    event.deltas.push_back(std::move(delta));
  }
  return event;
}

} // namespace holdfast::gateway
