#include "gateway/openai_members.hpp"

#include "gateway/openai_fields.hpp"

#include <algorithm>
#include <limits>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxMessages = 10000;
constexpr std::size_t kMaxParts = 1000;
constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kMaxStops = 4;
constexpr std::size_t kMaxLabelBytes = 256;

bool starts_with(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

ContentPart read_image(const json& part, const std::string& path) {
  const json& image = required_member(part, "image_url", path);
  const std::string image_path = join_path(path, "image_url");
  require_object(image, image_path);
  ContentPart read =
      read_image_url(required_member(image, "url", image_path), join_path(image_path, "url"));
  const json& detail = optional_member(image, "detail");
  if (!detail.is_null())
    read.detail = read_word(detail, join_path(image_path, "detail"), {"low", "high", "auto"});
  return read;
}

void read_part(const json& part, const std::string& path, Message& message) {
  require_object(part, path);
  const json& type = required_member(part, "type", path);
  const std::string type_path = join_path(path, "type");
  std::string kind;
  if (message.role == "user")
    kind = read_word(type, type_path, {"text", "image_url"});
  else if (message.role == "assistant")
    kind = read_word(type, type_path, {"text", "refusal"});
  else
    kind = read_word(type, type_path, {"text"});

  if (kind == "image_url")
    message.parts.push_back(read_image(part, path));
  else if (kind == "refusal")
    message.refusal +=
        read_text(required_member(part, "refusal", path), join_path(path, "refusal"));
  else
    message.parts.push_back(
        {ContentPart::Kind::text,
         read_text(required_member(part, "text", path), join_path(path, "text")),
         {}});
}

void read_content(const json& content, const std::string& path, Message& message) {
  if (content.is_string()) {
    message.parts.push_back({ContentPart::Kind::text, read_text(content, path), {}});
  } else if (content.is_array()) {
    require_array(content, path, 1, kMaxParts);
    for (std::size_t i = 0; i < content.size(); ++i)
      read_part(content[i], join_path(path, i), message);
  } else {
    refuse_type(path, "a string or an array of parts", content);
  }
}

ToolCall read_tool_call(const json& call, const std::string& path) {
  require_object(call, path);
  read_word(required_member(call, "type", path), join_path(path, "type"), {"function"});
  const json& function = required_member(call, "function", path);
  const std::string function_path = join_path(path, "function");
  require_object(function, function_path);
  return {read_label(required_member(call, "id", path), join_path(path, "id"), kMaxLabelBytes),
          read_label(required_member(function, "name", function_path),
                     join_path(function_path, "name"), kMaxLabelBytes),
          read_text(required_member(function, "arguments", function_path),
                    join_path(function_path, "arguments"))};
}

void read_assistant_members(const json& written, const std::string& path, Message& message) {
  const json& refusal = optional_member(written, "refusal");
  if (!refusal.is_null()) message.refusal = read_text(refusal, join_path(path, "refusal"));
  if (!optional_member(written, "function_call").is_null())
    refuse_unsupported(join_path(path, "function_call"), "is not supported: use `tool_calls`.");
  const json& calls = optional_member(written, "tool_calls");
  if (calls.is_null()) return;
  const std::string calls_path = join_path(path, "tool_calls");
  require_array(calls, calls_path, 1, kMaxTools);
  for (std::size_t i = 0; i < calls.size(); ++i)
    message.tool_calls.push_back(read_tool_call(calls[i], join_path(calls_path, i)));
}

Message read_message(const json& written, const std::string& path) {
  require_object(written, path);
  Message message;
  message.role = read_word(required_member(written, "role", path), join_path(path, "role"),
                           {"system", "developer", "user", "assistant", "tool"});
  if (message.role == "assistant") read_assistant_members(written, path, message);
  if (message.role == "tool")
    message.tool_call_id = read_label(required_member(written, "tool_call_id", path),
                                      join_path(path, "tool_call_id"), kMaxLabelBytes);
  const json& name = optional_member(written, "name");
  if (!name.is_null()) message.name = read_label(name, join_path(path, "name"), kMaxLabelBytes);

  const json& content = optional_member(written, "content");
  const std::string content_path = join_path(path, "content");
  if (!content.is_null())
    read_content(content, content_path, message);
  else if (message.tool_calls.empty() && message.refusal.empty())
    refuse_missing(content_path);
  return message;
}

void check_tool(const json& tool, const std::string& path) {
  require_object(tool, path);
  read_word(required_member(tool, "type", path), join_path(path, "type"), {"function"});
  const json& function = required_member(tool, "function", path);
  const std::string function_path = join_path(path, "function");
  require_object(function, function_path);
  read_identifier(required_member(function, "name", function_path),
                  join_path(function_path, "name"));
  const json& description = optional_member(function, "description");
  if (!description.is_null()) read_text(description, join_path(function_path, "description"));
  const json& parameters = optional_member(function, "parameters");
  if (!parameters.is_null()) require_object(parameters, join_path(function_path, "parameters"));
  const json& strict = optional_member(function, "strict");
  if (!strict.is_null()) read_bool(strict, join_path(function_path, "strict"));
}

bool has_tool(const json& tools, const std::string& name) {
  return std::any_of(tools.begin(), tools.end(),
                     [&](const json& tool) { return tool["function"]["name"] == name; });
}

void check_tool_choice(const json& choice, const std::string& path, const json& tools) {
  if (choice.is_string()) {
    read_word(choice, path, {"none", "auto", "required"});
  } else {
    if (!choice.is_object()) refuse_type(path, "a string or an object", choice);
    read_word(required_member(choice, "type", path), join_path(path, "type"), {"function"});
    const json& function = required_member(choice, "function", path);
    const std::string function_path = join_path(path, "function");
    require_object(function, function_path);
    const std::string name_path = join_path(function_path, "name");
    const std::string name =
        read_identifier(required_member(function, "name", function_path), name_path);
    if (!has_tool(tools, name)) refuse_value(name_path, "names no function of `tools`.");
  }
  if (tools.is_null()) refuse_value(path, "is only allowed together with `tools`.");
}

} // namespace

ContentPart read_image_url(const json& url, const std::string& path) {
  ContentPart read;
  read.kind = ContentPart::Kind::image_url;
  read.text = read_text(url, path);
  if (!starts_with(read.text, "https://") && !starts_with(read.text, "http://") &&
      !starts_with(read.text, "data:image/"))
    refuse_value(path, "must be an http, https or data:image URL.");
  return read;
}

void read_messages(const json& body, ChatRequest& chat) {
  const json& messages = required_member(body, "messages", "");
  require_array(messages, "messages", 1, kMaxMessages);
  for (std::size_t i = 0; i < messages.size(); ++i)
    chat.messages.push_back(read_message(messages[i], join_path("messages", i)));
}

void read_tools(const json& body, const char* choice_name, ChatRequest& chat) {
  const json& tools = optional_member(body, "tools");
  if (!tools.is_null()) {
    require_array(tools, "tools", 0, kMaxTools);
    for (std::size_t i = 0; i < tools.size(); ++i)
      check_tool(tools[i], join_path("tools", i));
    // An empty list means none; some providers refuse it.
    if (!tools.empty()) chat.tools = tools;
  }
  const json& choice = optional_member(body, choice_name);
  if (choice.is_null()) return;
  check_tool_choice(choice, choice_name, chat.tools);
  chat.tool_choice = choice;
}

void read_response_format(const json& body, const std::string& name, ChatRequest& chat) {
  const json& format = optional_member(body, name.c_str());
  if (format.is_null()) return;
  require_object(format, name);
  const std::string type = read_word(required_member(format, "type", name), join_path(name, "type"),
                                     {"text", "json_object", "json_schema"});
  if (type == "json_schema") {
    const std::string path = join_path(name, "json_schema");
    const json& schema = required_member(format, "json_schema", name);
    require_object(schema, path);
    read_identifier(required_member(schema, "name", path), join_path(path, "name"));
    const json& definition = optional_member(schema, "schema");
    if (!definition.is_null()) require_object(definition, join_path(path, "schema"));
  }
  chat.response_format = format;
}

void read_stop(const json& body, ChatRequest& chat) {
  const json& stop = optional_member(body, "stop");
  if (stop.is_null()) return;
  if (stop.is_string()) {
    chat.stop.push_back(read_text(stop, "stop"));
  } else {
    if (!stop.is_array()) refuse_type("stop", "a string or an array of strings", stop);
    require_array(stop, "stop", 0, kMaxStops);
    for (std::size_t i = 0; i < stop.size(); ++i)
      chat.stop.push_back(read_text(stop[i], join_path("stop", i)));
  }
  if (std::any_of(chat.stop.begin(), chat.stop.end(), [](const auto& s) { return s.empty(); }))
    refuse_value("stop", "must not contain an empty string.");
}

void read_seed(const json& body, ChatRequest& chat) {
  const json& seed = optional_member(body, "seed");
  if (!seed.is_null())
    chat.seed = read_integer(seed, "seed", std::numeric_limits<std::int64_t>::min(),
                             std::numeric_limits<std::int64_t>::max());
}

} // namespace holdfast::openai_format
