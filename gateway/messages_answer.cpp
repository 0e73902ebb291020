// Answers and streams in Anthropic's JSON.
#include "gateway/anthropic_format.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/providers/translate.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::anthropic_format {

namespace {

using nlohmann::json;

// A text of several sources names them as results of a search, the kind of citation that any URL
// can be.
json write_citations(const std::vector<Citation>& citations) {
  json written = json::array();
  for (const Citation& citation : citations)
    if (!citation.url.empty())
      written.push_back({{"type", "web_search_result_location"},
                         {"url", citation.url},
                         {"title", citation.title.empty() ? json() : json(citation.title)},
                         {"cited_text", citation.text},
                         {"encrypted_index", ""}});
  return written;
}

json text_block(const std::string& text) {
  return {{"type", "text"}, {"text", text}, {"citations", nullptr}};
}

json thinking_block(const std::string& text) {
  return {{"type", "thinking"}, {"thinking", text}, {"signature", ""}};
}

json tool_block(const ToolCall& call, json input) {
  return {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", std::move(input)}};
}

} // namespace

json stop_reason(const std::string& finish_reason) {
  if (finish_reason.empty()) return nullptr;
  if (finish_reason == "length") return "max_tokens";
  if (finish_reason == "tool_calls") return "tool_use";
  if (finish_reason == "content_filter") return "refusal";
  return "end_turn";
}

json write_usage(const Usage& usage) {
  const std::int64_t cached = usage.cached_tokens + usage.cache_write_tokens;
  return {{"input_tokens", std::max<std::int64_t>(usage.prompt_tokens - cached, 0)},
          {"cache_creation_input_tokens", usage.cache_write_tokens},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

json write_answer(const ChatAnswer& answer, const Usage& usage) {
  const Choice choice = answer.choices.empty() ? Choice{} : answer.choices.front();
  json content = json::array();
  if (!choice.reasoning.empty()) content.push_back(thinking_block(choice.reasoning));
  const std::string& text = choice.content.empty() ? choice.refusal : choice.content;
  if (!text.empty()) {
    content.push_back(text_block(text));
    json citations = write_citations(choice.citations);
    if (!citations.empty()) content.back()["citations"] = std::move(citations);
  }
  for (const ToolCall& call : choice.tool_calls)
    content.push_back(tool_block(call, provider::arguments_object(call.arguments)));
  return {{"id", answer.id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", answer.model},
          {"content", std::move(content)},
          {"stop_reason", stop_reason(choice.finish_reason)},
          {"stop_sequence", nullptr},
          {"usage", write_usage(usage)}};
}

std::string sse_event(const json& data) {
  return "event: " + data.value("type", std::string()) + "\ndata: " + dump_json(data) + "\n\n";
}

std::string EventWriter::begin() {
  if (std::exchange(begun_, true)) return {};
  const ChatAnswer empty{id_, model_, 0, {}, {}};
  return sse_event({{"type", "message_start"}, {"message", write_answer(empty, {})}});
}

std::string EventWriter::open(Kind kind, const json& block) {
  std::string text = close();
  open_kind_ = kind;
  ++block_;
  return text +
         sse_event({{"type", "content_block_start"}, {"index", block_}, {"content_block", block}});
}

std::string EventWriter::close() {
  if (std::exchange(open_kind_, Kind::none) == Kind::none) return {};
  return sse_event({{"type", "content_block_stop"}, {"index", block_}});
}

std::string EventWriter::piece(const json& delta) const {
  return sse_event({{"type", "content_block_delta"}, {"index", block_}, {"delta", delta}});
}

// A call is whole when its arguments are a JSON object: nothing more can come of it.
bool EventWriter::may_close() const {
  if (open_kind_ != Kind::tool) return true;
  const auto parsed = parse_bounded_json(calls_.at(open_call_).whole.arguments);
  return parsed && parsed->is_object();
}

std::string EventWriter::say(Kind kind, const std::string& text) {
  if (text.empty()) return {};
  const bool thinks = kind == Kind::thinking;
  std::string written;
  if (open_kind_ != kind) written = open(kind, thinks ? thinking_block("") : text_block(""));
  return written + piece(thinks ? json{{"type", "thinking_delta"}, {"thinking", text}}
                                : json{{"type", "text_delta"}, {"text", text}});
}

std::string EventWriter::call_piece(const ChatDelta::ToolCallPiece& received) {
  Call& call = calls_[received.index];
  if (call.whole.id.empty()) call.whole.id = received.id;
  if (call.whole.name.empty()) call.whole.name = received.name;
  const bool is_open = open_kind_ == Kind::tool && open_call_ == received.index;
  if (is_open) {
    call.whole.arguments += received.arguments;
    if (received.arguments.empty()) return {};
    return piece({{"type", "input_json_delta"}, {"partial_json", received.arguments}});
  }
  const bool waits = call.written || !may_close();
  call.whole.arguments += received.arguments;
  if (waits) return {};
  std::string text = open(Kind::tool, tool_block(call.whole, json::object()));
  open_call_ = received.index;
  call.written = true;
  if (call.whole.arguments.empty()) return text;
  return text + piece({{"type", "input_json_delta"}, {"partial_json", call.whole.arguments}});
}

std::string EventWriter::deltas(const StreamEvent& event) {
  std::string text;
  for (const ChatDelta& delta : event.deltas) {
    if (delta.index != 0) continue;
    text += say(Kind::thinking, delta.reasoning);
    text += say(Kind::text, delta.content.empty() ? delta.refusal : delta.content);
    for (const Citation& citation : delta.citations) {
      const json written = write_citations({citation});
      if (written.empty()) continue;
      if (open_kind_ != Kind::text) text += open(Kind::text, text_block(""));
      text += piece({{"type", "citations_delta"}, {"citation", written.front()}});
    }
    for (const ChatDelta::ToolCallPiece& received : delta.tool_calls)
      text += call_piece(received);
    if (!delta.finish_reason.empty()) stop_ = stop_reason(delta.finish_reason);
  }
  const std::string beginning = text.empty() && begun_ ? "" : begin();
  return beginning + text;
}

std::string EventWriter::finish() {
  std::string text = begin() + close();
  for (auto& [index, call] : calls_) {
    if (std::exchange(call.written, true)) continue;
    text += open(Kind::tool, tool_block(call.whole, json::object()));
    text += piece({{"type", "input_json_delta"}, {"partial_json", call.whole.arguments}});
    text += close();
  }
  return text;
}

} // namespace holdfast::anthropic_format
