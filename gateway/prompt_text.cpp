#include "gateway/prompt_text.hpp"

#include "extension/core/input_text.hpp"
#include "extension/core/redaction.hpp"
#include "gateway/bounded_json.hpp"

namespace holdfast::gateway {
namespace {

bool is_of_people(const Message& message) {
  return message.role == "system" || message.role == "developer" || message.role == "user";
}

// A member's name tells what its value is: a number of nine digits below "ssn". Recursion is as
// deep as the document, which is bounded.
void redact_value(nlohmann::json& value, const std::string& name) {
  if (value.is_object()) {
    for (auto& [key, member] : value.items())
      redact_value(member, key);
  } else if (value.is_array()) {
    for (auto& element : value)
      redact_value(element, name);
  } else if (value.is_string() || value.is_number()) {
    const std::string text = value.is_string() ? value.get<std::string>() : dump_json(value);
    const std::string context = name + ": ";
    const std::string clean = redacted(context + text);
    if (clean == context + text) return;
    value = clean.rfind(context, 0) == 0 ? clean.substr(context.size()) : redacted(text);
  }
}

// Arguments of a tool are JSON, which they are to stay, as far as the model wrote it well.
std::string redacted_arguments(const std::string& text) {
  auto arguments = parse_bounded_json(text);
  if (!arguments) return redacted(text);
  const nlohmann::json before = *arguments;
  redact_value(*arguments, "");
  return *arguments == before ? text : dump_json(*arguments);
}

} // namespace

void normalize_prompt(ChatRequest& request) {
  for (Message& message : request.messages) {
    for (ContentPart& part : message.parts) {
      const bool is_written = part.kind == ContentPart::Kind::text && is_of_people(message);
      part.text = is_written ? normalized_input(part.text) : without_nul(part.text);
    }
    for (ToolCall& call : message.tool_calls) {
      call.id = without_nul(call.id);
      call.name = without_nul(call.name);
      call.arguments = without_nul(call.arguments);
    }
    message.tool_call_id = without_nul(message.tool_call_id);
    message.name = without_nul(message.name);
    message.refusal = without_nul(message.refusal);
  }
}

void normalize_prompt(EmbeddingRequest& request) {
  for (std::string& text : request.texts)
    text = normalized_input(text);
}

void redact_prompt(EmbeddingRequest& request) {
  for (std::string& text : request.texts)
    text = redacted(text);
}

void redact_prompt(ChatRequest& request) {
  for (Message& message : request.messages) {
    for (ContentPart& part : message.parts)
      if (part.kind == ContentPart::Kind::text) part.text = redacted(part.text);
    for (ToolCall& call : message.tool_calls)
      call.arguments = redacted_arguments(call.arguments);
    message.name = redacted(message.name);
    message.refusal = redacted(message.refusal);
  }
}

} // namespace holdfast::gateway
