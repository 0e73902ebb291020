#include "gateway/generate_format.hpp"

#include <initializer_list>

namespace holdfast::generate_format {
namespace {

using nlohmann::json;

json write_citation(const Citation& citation) {
  json written = {{"title", citation.title}};
  if (citation.document_id.empty()) {
    written["url"] = citation.url;
  } else {
    written["documentId"] = citation.document_id;
    written["text"] = citation.text;
  }
  if (citation.begin) written["startIndex"] = *citation.begin;
  if (citation.end) written["endIndex"] = *citation.end;
  return written;
}

json write_citations(const std::vector<Citation>& citations) {
  json written = json::array();
  for (const Citation& citation : citations)
    written.push_back(write_citation(citation));
  return written;
}

// The words of a refusal are the content of who says nothing else: clients show them.
const std::string& content_of(const std::string& content, const std::string& refusal) {
  return content.empty() ? refusal : content;
}

} // namespace

json write_usage(const Usage& usage) {
  json written = {{"promptTokens", usage.prompt_tokens},
                  {"completionTokens", usage.completion_tokens},
                  {"totalTokens", usage.prompt_tokens + usage.completion_tokens},
                  {"cachedTokens", usage.cached_tokens},
                  {"cacheWriteTokens", usage.cache_write_tokens},
                  {"reasoningTokens", usage.reasoning_tokens}};
  if (usage.estimated) written["estimated"] = true;
  return written;
}

void write_choice(const Choice& choice, gateway::ObjectText& body) {
  body.add("content", content_of(choice.content, choice.refusal));
  if (!choice.refusal.empty()) body.add("refusal", choice.refusal);
  if (!choice.reasoning.empty()) body.add("reasoning", choice.reasoning);
  if (!choice.tool_calls.empty()) {
    json calls = json::array();
    for (const ToolCall& call : choice.tool_calls)
      calls.push_back(openai_format::write_tool_call(call));
    body.add("toolCalls", calls);
  }
  if (!choice.citations.empty()) body.add("citations", write_citations(choice.citations));
  body.add("finishReason",
           choice.finish_reason.empty() ? json(nullptr) : json(choice.finish_reason));
}

json write_delta(const ChatDelta& delta) {
  json written;
  const std::string& content = content_of(delta.content, delta.refusal);
  if (!content.empty()) written["content"] = content;
  if (!delta.refusal.empty()) written["refusal"] = delta.refusal;
  if (!delta.reasoning.empty()) written["reasoning"] = delta.reasoning;
  for (const ChatDelta::ToolCallPiece& piece : delta.tool_calls)
    written["toolCalls"].push_back(openai_format::write_tool_call_piece(piece));
  if (!delta.citations.empty()) written["citations"] = write_citations(delta.citations);
  return written;
}

json delta_of_body(const json& body) {
  json written;
  for (const char* name : {"content", "refusal", "reasoning", "toolCalls", "citations"}) {
    const auto said = body.find(name);
    if (said != body.end() && !said->empty() && *said != "") written[name] = *said;
  }
  if (written.contains("toolCalls")) {
    int index = 0;
    for (json& call : written["toolCalls"])
      call["index"] = index++;
  }
  return written;
}

} // namespace holdfast::generate_format
