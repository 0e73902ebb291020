// Structs as one line of text, so that tests compare every field and show what differs.
#pragma once

#include "gateway/bounded_json.hpp"
#include "gateway/chat.hpp"

#include <string>
#include <vector>

namespace holdfast::test {

inline std::string quoted(const std::string& text) {
  return dump_json(nlohmann::json(text));
}

inline void add(std::string& line, const char* name, const std::string& text) {
  if (!text.empty()) line += std::string(" ") + name + "=" + quoted(text);
}

inline void add(std::string& line, const std::vector<Citation>& citations) {
  for (const Citation& citation : citations) {
    line += " cites";
    add(line, "url", citation.url);
    add(line, "document", citation.document_id);
    add(line, "title", citation.title);
    add(line, "text", citation.text);
    if (citation.begin) line += " from " + std::to_string(*citation.begin);
    if (citation.end) line += " to " + std::to_string(*citation.end);
  }
}

inline std::string describe(const Usage& usage) {
  std::string line = "usage " + std::to_string(usage.prompt_tokens) + "+" +
                     std::to_string(usage.completion_tokens) + " cached " +
                     std::to_string(usage.cached_tokens) + " written " +
                     std::to_string(usage.cache_write_tokens) + " reasoning " +
                     std::to_string(usage.reasoning_tokens);
  if (usage.estimated) line += " estimated";
  if (usage.reported_cost_usd) line += " cost " + *usage.reported_cost_usd;
  return line;
}

inline std::string describe(const ProviderError& error) {
  std::string line = "error " + std::string(error_class_name(error.error_class)) + " " +
                     std::to_string(error.status);
  add(line, "code", error.code);
  add(line, "message", error.message);
  if (error.retry_after_ms) line += " retry " + std::to_string(*error.retry_after_ms);
  if (error.maybe_charged) line += " maybe_charged";
  return line;
}

inline std::string describe(const ChatDelta& delta) {
  std::string line = "[" + std::to_string(delta.index) + "]";
  add(line, "content", delta.content);
  add(line, "refusal", delta.refusal);
  add(line, "reasoning", delta.reasoning);
  for (const ChatDelta::ToolCallPiece& piece : delta.tool_calls) {
    line += " call" + std::to_string(piece.index);
    add(line, "id", piece.id);
    add(line, "name", piece.name);
    add(line, "arguments", piece.arguments);
  }
  add(line, delta.citations);
  add(line, "finish", delta.finish_reason);
  if (!delta.logprobs.is_null()) line += " logprobs=" + dump_json(delta.logprobs);
  return line;
}

// Without id, model and created, which are the same in all events of a stream.
inline std::string describe(const StreamEvent& event) {
  std::string line;
  for (const ChatDelta& delta : event.deltas)
    line += (line.empty() ? "" : " ") + describe(delta);
  if (event.usage) line += (line.empty() ? "" : " ") + describe(*event.usage);
  if (event.error) line += (line.empty() ? "" : " ") + describe(*event.error);
  if (event.done) line += (line.empty() ? "done" : " done");
  return line;
}

inline std::vector<std::string> describe(const std::vector<StreamEvent>& events) {
  std::vector<std::string> lines;
  for (const StreamEvent& event : events)
    lines.push_back(describe(event));
  return lines;
}

inline std::string describe(const Choice& choice) {
  std::string line = "[" + std::to_string(choice.index) + "]";
  add(line, "content", choice.content);
  add(line, "refusal", choice.refusal);
  add(line, "reasoning", choice.reasoning);
  for (const ToolCall& call : choice.tool_calls) {
    line += " call";
    add(line, "id", call.id);
    add(line, "name", call.name);
    add(line, "arguments", call.arguments);
  }
  add(line, choice.citations);
  add(line, "finish", choice.finish_reason);
  if (!choice.logprobs.is_null()) line += " logprobs=" + dump_json(choice.logprobs);
  return line;
}

inline std::string describe(const ChatAnswer& answer) {
  std::string text = answer.id + " " + answer.model + " " + std::to_string(answer.created) + "\n";
  for (const Choice& choice : answer.choices)
    text += describe(choice) + "\n";
  return text + (answer.usage ? describe(*answer.usage) : "no usage");
}

} // namespace holdfast::test
