#include "gateway/json_read.hpp"
#include "gateway/openai_format.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::openai_format {

namespace {

using json_read::index;
using json_read::kMaxTokenCount;
using json_read::member;
using json_read::text;
using json_read::whole_number;
using nlohmann::json;

json write_content(const Message& message) {
  const std::vector<ContentPart>& parts = message.parts;
  if (parts.empty()) return message.role == "assistant" ? json(nullptr) : json("");
  if (parts.size() == 1 && parts.front().kind == ContentPart::Kind::text) return parts.front().text;
  json content = json::array();
  for (const ContentPart& part : parts) {
    if (part.kind == ContentPart::Kind::text) {
      content.push_back({{"type", "text"}, {"text", part.text}});
      continue;
    }
    json image = {{"url", part.text}};
    if (!part.detail.empty()) image["detail"] = part.detail;
    content.push_back({{"type", "image_url"}, {"image_url", std::move(image)}});
  }
  return content;
}

json write_message(const Message& message) {
  json written = {{"role", message.role}, {"content", write_content(message)}};
  if (!message.name.empty()) written["name"] = message.name;
  if (!message.refusal.empty()) written["refusal"] = message.refusal;
  if (!message.tool_call_id.empty()) written["tool_call_id"] = message.tool_call_id;
  for (const ToolCall& call : message.tool_calls)
    written["tool_calls"].push_back(write_tool_call(call));
  return written;
}

// Text, or a list of pieces of text and of thinking, the latter itself a list.
void read_content(const json& content, std::string& said, std::string& thought) {
  if (content.is_string()) {
    said += content.get<std::string>();
    return;
  }
  if (!content.is_array()) return;
  for (const json& piece : content) {
    if (text(piece, "type") == "text") said += text(piece, "text");
    if (text(piece, "type") != "thinking") continue;
    thought += text(piece, "thinking");
    const json& list = member(piece, "thinking");
    if (!list.is_array()) continue;
    for (const json& part : list)
      thought += text(part, "text");
  }
}

// OpenAI's words for the end of a choice. An `error` is left for the adapter.
std::string finish_reason(const json& choice) {
  std::string reason = text(choice, "finish_reason");
  if (reason.empty() || reason == "length" || reason == "tool_calls" ||
      reason == "content_filter" || reason == "error")
    return reason;
  if (reason == "model_length" || reason == "max_tokens") return "length";
  return reason == "function_call" ? "tool_calls" : "stop";
}

std::vector<Citation> read_annotations(const json& message) {
  std::vector<Citation> citations;
  const json& annotations = member(message, "annotations");
  if (!annotations.is_array()) return citations;
  for (const json& annotation : annotations) {
    const json& page = member(annotation, "url_citation");
    const json& document = member(annotation, "document_citation");
    const json& cited = page.is_object() ? page : document;
    if (!cited.is_object()) continue;
    Citation citation;
    citation.url = text(page, "url");
    citation.document_id = text(document, "id");
    citation.title = text(cited, "title");
    citation.text = text(document, "text");
    citation.begin = whole_number(member(cited, "start_index"), kMaxTokenCount);
    citation.end = whole_number(member(cited, "end_index"), kMaxTokenCount);
    citations.push_back(std::move(citation));
  }
  return citations;
}

// What a message and a delta have in common, but for the tool calls.
template <typename Piece>
void read_message(const json& choice, const json& message, Piece& parsed) {
  parsed.index = index(choice);
  parsed.reasoning = text(message, "reasoning");
  if (parsed.reasoning.empty()) parsed.reasoning = text(message, "reasoning_content");
  read_content(member(message, "content"), parsed.content, parsed.reasoning);
  parsed.refusal = text(message, "refusal");
  parsed.citations = read_annotations(message);
  parsed.finish_reason = finish_reason(choice);
  parsed.logprobs = member(choice, "logprobs");
}

Choice parse_choice(const json& choice) {
  const json& message = member(choice, "message");
  Choice parsed;
  read_message(choice, message, parsed);
  const json& calls = member(message, "tool_calls");
  if (!calls.is_array()) return parsed;
  for (const json& call : calls) {
    const json& function = member(call, "function");
    parsed.tool_calls.push_back(
        {text(call, "id"), text(function, "name"), text(function, "arguments")});
  }
  return parsed;
}

ChatDelta parse_delta(const json& choice) {
  const json& delta = member(choice, "delta");
  ChatDelta parsed;
  read_message(choice, delta, parsed);
  const json& calls = member(delta, "tool_calls");
  if (!calls.is_array()) return parsed;
  for (const json& call : calls) {
    const json& function = member(call, "function");
    parsed.tool_calls.push_back(
        {index(call), text(call, "id"), text(function, "name"), text(function, "arguments")});
  }
  return parsed;
}

std::int64_t created_of(const json& body) {
  constexpr std::int64_t kYear9999 = 253402300799;
  return whole_number(member(body, "created"), kYear9999).value_or(0);
}

// Some providers have the count of cached tokens beside the others, under one of two names.
std::int64_t cached_count(const json& usage) {
  const json& details = member(usage, "prompt_tokens_details");
  for (const auto& [object, name] : {std::pair(&details, "cached_tokens"),
                                     {&usage, "cached_tokens"},
                                     {&usage, "num_cached_tokens"}})
    if (const auto count = whole_number(member(*object, name), kMaxTokenCount)) return *count;
  return 0;
}

} // namespace

json write_request(const ChatRequest& request, TokenLimitField limit_field,
                   const std::vector<std::string>& extras) {
  json body = json::object();
  if (request.extra.is_object())
    for (const auto& [name, value] : request.extra.items())
      if (extras.empty() || std::find(extras.begin(), extras.end(), name) != extras.end())
        body[name] = value;
  body["model"] = request.model;
  body["messages"] = json::array();
  for (const Message& message : request.messages)
    body["messages"].push_back(write_message(message));
  body[limit_field == TokenLimitField::max_tokens ? "max_tokens" : "max_completion_tokens"] =
      request.max_tokens;
  if (request.choices != 1) body["n"] = request.choices;
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (request.seed) body["seed"] = *request.seed;
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (!request.tools.is_null()) body["tools"] = request.tools;
  if (!request.tool_choice.is_null()) body["tool_choice"] = request.tool_choice;
  if (!request.response_format.is_null()) body["response_format"] = request.response_format;
  body["stream"] = request.stream;
  if (request.stream) body["stream_options"] = {{"include_usage", true}};
  return body;
}

std::optional<ChatAnswer> parse_answer(const json& body) {
  const json& choices = member(body, "choices");
  if (!choices.is_array() || choices.empty()) return std::nullopt;
  ChatAnswer answer;
  answer.id = text(body, "id");
  answer.model = text(body, "model");
  answer.created = created_of(body);
  for (const json& choice : choices) {
    if (!member(choice, "message").is_object()) return std::nullopt;
    answer.choices.push_back(parse_choice(choice));
  }
  answer.usage = parse_usage(member(body, "usage"));
  return answer;
}

std::optional<StreamEvent> parse_chunk(const json& chunk) {
  const json& choices = member(chunk, "choices");
  if (!choices.is_array()) return std::nullopt;
  StreamEvent event;
  event.id = text(chunk, "id");
  event.model = text(chunk, "model");
  event.created = created_of(chunk);
  for (const json& choice : choices)
    event.deltas.push_back(parse_delta(choice));
  event.usage = parse_usage(member(chunk, "usage"));
  return event;
}

std::optional<Usage> parse_usage(const json& usage) {
  const auto prompt = whole_number(member(usage, "prompt_tokens"), kMaxTokenCount);
  const auto completion = whole_number(member(usage, "completion_tokens"), kMaxTokenCount);
  if (!prompt || !completion) return std::nullopt;
  Usage parsed;
  parsed.prompt_tokens = *prompt;
  parsed.completion_tokens = *completion;
  // A part is never more than its whole, or a price made of parts goes wrong.
  parsed.cached_tokens = std::min(cached_count(usage), *prompt);
  parsed.cache_write_tokens =
      std::min(json_read::token_count(member(usage, "prompt_tokens_details"), "cache_write_tokens"),
               *prompt - parsed.cached_tokens);
  parsed.reasoning_tokens = std::min(
      json_read::token_count(member(usage, "completion_tokens_details"), "reasoning_tokens"),
      *completion);
  return parsed;
}

} // namespace holdfast::openai_format
