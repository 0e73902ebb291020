#include "gateway/openai_format.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

constexpr std::int64_t kMaxTokenCount = 2000000000;
constexpr int kMaxIndex = 1000;

// The member of an object; null when there is none.
const json& member(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string text(const json& object, const char* name) {
  const json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<std::int64_t> whole_number(const json& value, std::int64_t max) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(max))
    return std::nullopt;
  const std::int64_t number = value.get<std::int64_t>();
  if (number < 0 || number > max) return std::nullopt;
  return number;
}

int index_of(const json& object) {
  return static_cast<int>(whole_number(member(object, "index"), kMaxIndex).value_or(0));
}

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
    written["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  return written;
}

std::string reasoning_text(const json& message) {
  std::string reasoning = text(message, "reasoning");
  return reasoning.empty() ? text(message, "reasoning_content") : reasoning;
}

Choice parse_choice(const json& choice) {
  const json& message = member(choice, "message");
  Choice parsed;
  parsed.index = index_of(choice);
  parsed.content = text(message, "content");
  parsed.refusal = text(message, "refusal");
  parsed.reasoning = reasoning_text(message);
  parsed.finish_reason = text(choice, "finish_reason");
  parsed.logprobs = member(choice, "logprobs");
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
  parsed.index = index_of(choice);
  parsed.content = text(delta, "content");
  parsed.refusal = text(delta, "refusal");
  parsed.reasoning = reasoning_text(delta);
  parsed.finish_reason = text(choice, "finish_reason");
  parsed.logprobs = member(choice, "logprobs");
  const json& calls = member(delta, "tool_calls");
  if (!calls.is_array()) return parsed;
  for (const json& call : calls) {
    const json& function = member(call, "function");
    parsed.tool_calls.push_back(
        {index_of(call), text(call, "id"), text(function, "name"), text(function, "arguments")});
  }
  return parsed;
}

std::int64_t created_of(const json& body) {
  constexpr std::int64_t kYear9999 = 253402300799;
  return whole_number(member(body, "created"), kYear9999).value_or(0);
}

std::int64_t detail_count(const json& usage, const char* details, const char* name,
                          std::int64_t max) {
  const json& value = member(member(usage, details), name);
  return std::min(whole_number(value, kMaxTokenCount).value_or(0), max);
}

} // namespace

json write_request(const ChatRequest& request, TokenLimitField limit_field) {
  json body = request.extra.is_object() ? request.extra : json::object();
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
  parsed.cached_tokens = detail_count(usage, "prompt_tokens_details", "cached_tokens", *prompt);
  parsed.reasoning_tokens =
      detail_count(usage, "completion_tokens_details", "reasoning_tokens", *completion);
  return parsed;
}

} // namespace holdfast::openai_format
