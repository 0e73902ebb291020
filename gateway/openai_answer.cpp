#include "gateway/bounded_json.hpp"
#include "gateway/openai_format.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

// A page in OpenAI's shape; what is no page in one of the same make.
json write_annotations(const std::vector<Citation>& citations) {
  json annotations = json::array();
  for (const Citation& citation : citations) {
    const bool page = citation.document_id.empty();
    json cited = {{"title", citation.title}};
    cited[page ? "url" : "id"] = page ? citation.url : citation.document_id;
    if (!page) cited["text"] = citation.text;
    if (citation.begin) cited["start_index"] = *citation.begin;
    if (citation.end) cited["end_index"] = *citation.end;
    const char* type = page ? "url_citation" : "document_citation";
    annotations.push_back({{"type", type}, {type, std::move(cited)}});
  }
  return annotations;
}

json write_choice(const Choice& choice) {
  json message = {{"role", "assistant"}, {"refusal", text_or_null(choice.refusal)}};
  const bool says_nothing = choice.content.empty();
  const bool does_something = !choice.tool_calls.empty() || !choice.refusal.empty();
  message["content"] = says_nothing && does_something ? json(nullptr) : json(choice.content);
  if (!choice.reasoning.empty()) message["reasoning"] = choice.reasoning;
  if (!choice.citations.empty()) message["annotations"] = write_annotations(choice.citations);
  for (const ToolCall& call : choice.tool_calls)
    message["tool_calls"].push_back(write_tool_call(call));
  return {{"index", choice.index},
          {"message", std::move(message)},
          {"logprobs", choice.logprobs},
          {"finish_reason", text_or_null(choice.finish_reason)}};
}

bool says_nothing(const ChatDelta& delta) {
  return delta.content.empty() && delta.refusal.empty() && delta.reasoning.empty() &&
         delta.tool_calls.empty() && delta.citations.empty() && delta.finish_reason.empty() &&
         delta.logprobs.is_null();
}

json write_delta(const ChatDelta& delta, bool first) {
  json written = json::object();
  if (first) {
    written["role"] = "assistant";
    written["content"] = delta.tool_calls.empty() ? json("") : json(nullptr);
  }
  if (!delta.content.empty()) written["content"] = delta.content;
  if (!delta.refusal.empty()) written["refusal"] = delta.refusal;
  if (!delta.reasoning.empty()) written["reasoning"] = delta.reasoning;
  if (!delta.citations.empty()) written["annotations"] = write_annotations(delta.citations);
  for (const ChatDelta::ToolCallPiece& piece : delta.tool_calls)
    written["tool_calls"].push_back(write_tool_call_piece(piece));
  return {{"index", delta.index},
          {"delta", std::move(written)},
          {"logprobs", delta.logprobs},
          {"finish_reason", text_or_null(delta.finish_reason)}};
}

std::string sse(const json& body) {
  return "data: " + dump_json(body) + "\n\n";
}

} // namespace

json write_tool_call(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

json write_tool_call_piece(const ChatDelta::ToolCallPiece& piece) {
  json function = {{"arguments", piece.arguments}};
  if (!piece.name.empty()) function["name"] = piece.name;
  json written = {{"index", piece.index}, {"function", std::move(function)}};
  if (!piece.id.empty()) {
    written["id"] = piece.id;
    written["type"] = "function";
  }
  return written;
}

json write_usage(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

json write_answer(const ChatAnswer& answer) {
  json body = {{"id", answer.id},
               {"object", "chat.completion"},
               {"created", answer.created},
               {"model", answer.model},
               {"choices", json::array()}};
  for (const Choice& choice : answer.choices)
    body["choices"].push_back(write_choice(choice));
  if (answer.usage) body["usage"] = write_usage(*answer.usage);
  return body;
}

ChunkWriter::ChunkWriter(std::string id, std::string model, std::int64_t created,
                         bool include_usage)
    : id_(std::move(id)), model_(std::move(model)), created_(created),
      include_usage_(include_usage) {}

json ChunkWriter::frame() const {
  json chunk = {{"id", id_},
                {"object", "chat.completion.chunk"},
                {"created", created_},
                {"model", model_},
                {"choices", json::array()}};
  if (include_usage_) chunk["usage"] = nullptr;
  return chunk;
}

std::string ChunkWriter::deltas(const StreamEvent& event) {
  json choices = json::array();
  for (const ChatDelta& delta : event.deltas) {
    const bool first = std::find(begun_.begin(), begun_.end(), delta.index) == begun_.end();
    if (first) begun_.push_back(delta.index);
    if (first || !says_nothing(delta)) choices.push_back(write_delta(delta, first));
  }
  if (choices.empty()) return {};
  json chunk = frame();
  chunk["choices"] = std::move(choices);
  return sse(chunk);
}

std::string ChunkWriter::usage(const Usage& usage) const {
  json chunk = frame();
  chunk["usage"] = write_usage(usage);
  return sse(chunk);
}

std::string ChunkWriter::error(const json& error_body) {
  return sse(error_body);
}

std::string ChunkWriter::done() {
  return "data: [DONE]\n\n";
}

} // namespace holdfast::openai_format
