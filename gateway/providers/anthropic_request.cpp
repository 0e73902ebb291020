#include "gateway/providers/anthropic_request.hpp"

#include "gateway/json_read.hpp"
#include "gateway/providers/translate.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

json text_block(const std::string& text) {
  return {{"type", "text"}, {"text", text}};
}

json image_block(const std::string& url) {
  if (const auto image = parse_data_url(url))
    return {
        {"type", "image"},
        {"source", {{"type", "base64"}, {"media_type", image->media_type}, {"data", image->data}}}};
  return {{"type", "image"}, {"source", {{"type", "url"}, {"url", url}}}};
}

// Empty texts are refused there, and say nothing.
json content_blocks(const Message& message) {
  json blocks = json::array();
  for (const ContentPart& part : message.parts) {
    if (part.kind == ContentPart::Kind::image_url) {
      blocks.push_back(image_block(part.text));
    } else if (!part.text.empty()) {
      blocks.push_back(text_block(part.text));
    }
  }
  if (!message.refusal.empty()) blocks.push_back(text_block(message.refusal));
  return blocks;
}

json message_blocks(const Message& message) {
  json blocks = content_blocks(message);
  if (message.role == "tool")
    return json::array({{{"type", "tool_result"},
                         {"tool_use_id", message.tool_call_id},
                         {"content", std::move(blocks)}}});
  for (const ToolCall& call : message.tool_calls)
    blocks.push_back({{"type", "tool_use"},
                      {"id", call.id},
                      {"name", call.name},
                      {"input", arguments_object(call.arguments)}});
  return blocks;
}

bool is_system(const Message& message) {
  return message.role == "system" || message.role == "developer";
}

// Messages of one side in a row become one: all results of a turn's tools must be together.
json write_messages(const ChatRequest& request) {
  json messages = json::array();
  for (const Message& message : request.messages) {
    if (is_system(message)) continue;
    json blocks = message_blocks(message);
    if (blocks.empty()) continue;
    const char* role = message.role == "assistant" ? "assistant" : "user";
    if (messages.empty() || messages.back()["role"] != role)
      messages.push_back({{"role", role}, {"content", json::array()}});
    json& content = messages.back()["content"];
    content.insert(content.end(), blocks.begin(), blocks.end());
  }
  return messages;
}

json write_system(const ChatRequest& request) {
  json blocks = json::array();
  for (const Message& message : request.messages)
    if (is_system(message))
      for (json& block : content_blocks(message))
        blocks.push_back(std::move(block));
  return blocks;
}

bool is_strict(const json& tool) {
  const json& strict = member(function_of(tool), "strict");
  return strict.is_boolean() && strict.get<bool>();
}

json write_tools(const ChatRequest& request) {
  json tools = json::array();
  for (const json& tool : request.tools) {
    const json& function = function_of(tool);
    json written = {{"name", json_read::text(function, "name")}};
    const std::string description = json_read::text(function, "description");
    if (!description.empty()) written["description"] = description;
    const json& parameters = member(function, "parameters");
    written["input_schema"] = parameters.is_object() ? parameters : json{{"type", "object"}};
    if (is_strict(tool) && !is_older_claude(request.model)) written["strict"] = true;
    tools.push_back(std::move(written));
  }
  return tools;
}

json write_tool_choice(const ChatRequest& request) {
  json choice;
  const std::string name = chosen_function(request.tool_choice);
  if (!name.empty()) {
    choice = {{"type", "tool"}, {"name", name}};
  } else if (request.tool_choice == "required") {
    choice = {{"type", "any"}};
  } else if (request.tool_choice == "none") {
    choice = {{"type", "none"}};
  } else {
    choice = {{"type", "auto"}};
  }
  const json& parallel = member(request.extra, "parallel_tool_calls");
  if (choice["type"] != "none" && parallel.is_boolean() && !parallel.get<bool>())
    choice["disable_parallel_tool_use"] = true;
  return choice;
}

} // namespace

json anthropic_body(const ChatRequest& request) {
  json body = {{"model", request.model},
               {"max_tokens", request.max_tokens},
               {"messages", write_messages(request)},
               {"stream", request.stream}};
  json system = write_system(request);
  if (!system.empty()) body["system"] = std::move(system);
  if (request.tools.is_array()) {
    body["tools"] = write_tools(request);
    json choice = write_tool_choice(request);
    if (choice != json{{"type", "auto"}}) body["tool_choice"] = std::move(choice);
  }
  if (!response_schema(request).is_null())
    body["output_format"] = {{"type", "json_schema"}, {"schema", response_schema(request)}};
  if (!request.stop.empty()) body["stop_sequences"] = request.stop;
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  const std::string user = json_read::text(request.extra, "user");
  if (!user.empty()) body["metadata"] = {{"user_id", user}};
  return body;
}

bool wants_structured_outputs(const ChatRequest& request) {
  if (is_older_claude(request.model)) return false;
  if (!response_schema(request).is_null()) return true;
  return request.tools.is_array() &&
         std::any_of(request.tools.begin(), request.tools.end(), is_strict);
}

bool is_older_claude(const std::string& model) {
  constexpr std::array<std::string_view, 3> kOlder = {"claude-2", "claude-3", "claude-instant"};
  return std::any_of(kOlder.begin(), kOlder.end(), [&](std::string_view family) {
    return std::string_view(model).substr(0, family.size()) == family;
  });
}

} // namespace holdfast::provider
