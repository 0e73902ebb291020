// A client's request in Anthropic's JSON.
#include "gateway/anthropic_format.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/openai_fields.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::anthropic_format {

namespace {

using namespace openai_format; // the readers of members
using nlohmann::json;

constexpr std::size_t kMaxMessages = 10000;
constexpr std::size_t kMaxBlocks = 1000;
constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxLabelBytes = 256;

ContentPart text_part(std::string text) {
  return {ContentPart::Kind::text, std::move(text), {}};
}

ContentPart read_image(const json& block, const std::string& path) {
  const json& source = required_member(block, "source", path);
  const std::string at = join_path(path, "source");
  require_object(source, at);
  ContentPart part;
  part.kind = ContentPart::Kind::image_url;
  const std::string type =
      read_word(required_member(source, "type", at), join_path(at, "type"), {"base64", "url"});
  if (type == "url") {
    part.text = read_text(required_member(source, "url", at), join_path(at, "url"));
    if (part.text.rfind("https://", 0) != 0 && part.text.rfind("http://", 0) != 0)
      refuse_value(join_path(at, "url"), "must be an http or https URL.");
    return part;
  }
  const std::string media =
      read_word(required_member(source, "media_type", at), join_path(at, "media_type"),
                {"image/jpeg", "image/png", "image/gif", "image/webp"});
  part.text = "data:" + media + ";base64," +
              read_text(required_member(source, "data", at), join_path(at, "data"));
  return part;
}

// Only a document that is plain text is one for every provider.
ContentPart read_document(const json& block, const std::string& path) {
  const json& source = required_member(block, "source", path);
  const std::string at = join_path(path, "source");
  require_object(source, at);
  const std::string type =
      read_label(required_member(source, "type", at), join_path(at, "type"), kMaxLabelBytes);
  if (type != "text")
    refuse_unsupported(join_path(at, "type"), "is not supported: only documents of type text are.");
  return text_part(read_text(required_member(source, "data", at), join_path(at, "data")));
}

std::string type_of(const json& block, const std::string& path) {
  require_object(block, path);
  return read_label(required_member(block, "type", path), join_path(path, "type"), kMaxLabelBytes);
}

[[noreturn]] void refuse_block(const std::string& type, const std::string& path) {
  refuse_unsupported(join_path(path, "type"), "is not supported here: " + type + ".");
}

std::string read_text_block(const json& block, const std::string& path) {
  return read_text(required_member(block, "text", path), join_path(path, "text"));
}

// The texts of a result become a message of the tool's; its images follow in the user's.
void read_tool_result(const json& block, const std::string& path, std::vector<Message>& results,
                      Message& user) {
  Message result;
  result.role = "tool";
  result.tool_call_id = read_label(required_member(block, "tool_use_id", path),
                                   join_path(path, "tool_use_id"), kMaxLabelBytes);
  const json& content = optional_member(block, "content");
  const std::string at = join_path(path, "content");
  if (content.is_string()) {
    result.parts.push_back(text_part(read_text(content, at)));
  } else if (!content.is_null()) {
    require_array(content, at, 0, kMaxBlocks);
    for (std::size_t i = 0; i < content.size(); ++i) {
      const std::string inner = join_path(at, i);
      const std::string type = type_of(content[i], inner);
      if (type == "text")
        result.parts.push_back(text_part(read_text_block(content[i], inner)));
      else if (type == "image")
        user.parts.push_back(read_image(content[i], inner));
      else
        refuse_block(type, inner);
    }
  }
  if (result.parts.empty()) result.parts.push_back(text_part(""));
  results.push_back(std::move(result));
}

void read_user(const json& content, const std::string& path, std::vector<Message>& messages) {
  Message user;
  user.role = "user";
  std::vector<Message> results;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string at = join_path(path, i);
    const std::string type = type_of(content[i], at);
    if (type == "text")
      user.parts.push_back(text_part(read_text_block(content[i], at)));
    else if (type == "image")
      user.parts.push_back(read_image(content[i], at));
    else if (type == "document")
      user.parts.push_back(read_document(content[i], at));
    else if (type == "tool_result")
      read_tool_result(content[i], at, results, user);
    else
      refuse_block(type, at);
  }
  for (Message& result : results)
    messages.push_back(std::move(result));
  if (!user.parts.empty()) messages.push_back(std::move(user));
}

ToolCall read_tool_use(const json& block, const std::string& path) {
  const json& input = required_member(block, "input", path);
  require_object(input, join_path(path, "input"));
  return {read_label(required_member(block, "id", path), join_path(path, "id"), kMaxLabelBytes),
          read_label(required_member(block, "name", path), join_path(path, "name"), kMaxLabelBytes),
          dump_json(input)};
}

void read_assistant(const json& content, const std::string& path, std::vector<Message>& messages) {
  Message said;
  said.role = "assistant";
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string at = join_path(path, i);
    const std::string type = type_of(content[i], at);
    if (type == "text")
      said.parts.push_back(text_part(read_text_block(content[i], at)));
    else if (type == "tool_use")
      said.tool_calls.push_back(read_tool_use(content[i], at));
    else if (type != "thinking" && type != "redacted_thinking")
      refuse_block(type, at);
  }
  if (!said.parts.empty() || !said.tool_calls.empty()) messages.push_back(std::move(said));
}

void read_messages(const json& body, ChatRequest& chat) {
  const json& messages = required_member(body, "messages", "");
  require_array(messages, "messages", 1, kMaxMessages);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string path = join_path("messages", i);
    require_object(messages[i], path);
    const std::string role = read_word(required_member(messages[i], "role", path),
                                       join_path(path, "role"), {"user", "assistant"});
    const json& content = required_member(messages[i], "content", path);
    const std::string at = join_path(path, "content");
    if (content.is_string()) {
      chat.messages.push_back({role, {text_part(read_text(content, at))}, {}, {}, {}, {}});
      continue;
    }
    if (!content.is_array()) refuse_type(at, "a string or an array of blocks", content);
    require_array(content, at, 1, kMaxBlocks);
    if (role == "user")
      read_user(content, at, chat.messages);
    else
      read_assistant(content, at, chat.messages);
  }
}

void read_system(const json& body, ChatRequest& chat) {
  const json& system = optional_member(body, "system");
  if (system.is_null()) return;
  Message message;
  message.role = "system";
  if (system.is_string()) {
    message.parts.push_back(text_part(read_text(system, "system")));
  } else {
    if (!system.is_array()) refuse_type("system", "a string or an array of text blocks", system);
    require_array(system, "system", 0, kMaxBlocks);
    for (std::size_t i = 0; i < system.size(); ++i) {
      const std::string at = join_path("system", i);
      if (const std::string type = type_of(system[i], at); type != "text") refuse_block(type, at);
      message.parts.push_back(text_part(read_text_block(system[i], at)));
    }
  }
  if (!message.parts.empty()) chat.messages.push_back(std::move(message));
}

json read_tool(const json& tool, const std::string& path) {
  require_object(tool, path);
  const json& type = optional_member(tool, "type");
  if (!type.is_null() && read_label(type, join_path(path, "type"), kMaxLabelBytes) != "custom")
    refuse_unsupported(join_path(path, "type"),
                       "is not supported: only tools of type custom are, which the client runs.");
  json function = {
      {"name", read_identifier(required_member(tool, "name", path), join_path(path, "name"))}};
  const json& description = optional_member(tool, "description");
  if (!description.is_null())
    function["description"] = read_text(description, join_path(path, "description"));
  const json& schema = required_member(tool, "input_schema", path);
  require_object(schema, join_path(path, "input_schema"));
  function["parameters"] = schema;
  const json& strict = optional_member(tool, "strict");
  if (!strict.is_null()) function["strict"] = read_bool(strict, join_path(path, "strict"));
  return {{"type", "function"}, {"function", std::move(function)}};
}

bool has_tool(const json& tools, const std::string& name) {
  return std::any_of(tools.begin(), tools.end(),
                     [&](const json& tool) { return tool["function"]["name"] == name; });
}

void read_tool_choice(const json& body, ChatRequest& chat) {
  const json& choice = optional_member(body, "tool_choice");
  if (choice.is_null()) return;
  require_object(choice, "tool_choice");
  if (chat.tools.is_null()) refuse_value("tool_choice", "is only allowed together with `tools`.");
  const std::string type = read_word(required_member(choice, "type", "tool_choice"),
                                     "tool_choice.type", {"auto", "any", "tool", "none"});
  if (type == "tool") {
    const std::string name =
        read_identifier(required_member(choice, "name", "tool_choice"), "tool_choice.name");
    if (!has_tool(chat.tools, name)) refuse_value("tool_choice.name", "names no tool of `tools`.");
    chat.tool_choice = {{"type", "function"}, {"function", {{"name", name}}}};
  } else {
    chat.tool_choice = type == "any" ? "required" : type;
  }
  const json& serial = optional_member(choice, "disable_parallel_tool_use");
  if (!serial.is_null() && read_bool(serial, "tool_choice.disable_parallel_tool_use"))
    chat.extra["parallel_tool_calls"] = false;
}

void read_tools(const json& body, ChatRequest& chat) {
  const json& tools = optional_member(body, "tools");
  if (!tools.is_null()) {
    require_array(tools, "tools", 0, kMaxTools);
    if (!tools.empty()) chat.tools = json::array();
    for (std::size_t i = 0; i < tools.size(); ++i)
      chat.tools.push_back(read_tool(tools[i], join_path("tools", i)));
  }
  read_tool_choice(body, chat);
}

void read_sampling(const json& body, const RequestLimits& limits, ChatRequest& chat) {
  chat.max_tokens = static_cast<int>(read_integer(required_member(body, "max_tokens", ""),
                                                  "max_tokens", 1, limits.max_completion_tokens));
  const json& temperature = optional_member(body, "temperature");
  if (!temperature.is_null()) chat.temperature = read_number(temperature, "temperature", 0, 1);
  const json& top_p = optional_member(body, "top_p");
  if (!top_p.is_null()) chat.top_p = read_number(top_p, "top_p", 0, 1);
  const json& stops = optional_member(body, "stop_sequences");
  if (!stops.is_null()) {
    require_array(stops, "stop_sequences", 0, kMaxStops);
    for (std::size_t i = 0; i < stops.size(); ++i) {
      chat.stop.push_back(read_text(stops[i], join_path("stop_sequences", i)));
      if (chat.stop.back().empty())
        refuse_value("stop_sequences", "must not contain an empty string.");
    }
  }
  const json& stream = optional_member(body, "stream");
  if (!stream.is_null()) chat.stream = read_bool(stream, "stream");
}

// `output_config.format`, or `output_format` as it was called before.
void read_format(const json& body, ChatRequest& chat) {
  const json& config = optional_member(body, "output_config");
  if (!config.is_null()) require_object(config, "output_config");
  const json& newer = config.is_null() ? config : optional_member(config, "format");
  const json& format = newer.is_null() ? optional_member(body, "output_format") : newer;
  if (format.is_null()) return;
  const std::string path = newer.is_null() ? "output_format" : "output_config.format";
  require_object(format, path);
  read_word(required_member(format, "type", path), join_path(path, "type"), {"json_schema"});
  const json& schema = required_member(format, "schema", path);
  require_object(schema, join_path(path, "schema"));
  chat.response_format = {
      {"type", "json_schema"},
      {"json_schema", {{"name", "answer"}, {"schema", schema}, {"strict", true}}}};
}

void refuse_unsupported_members(const json& body) {
  const json& thinking = optional_member(body, "thinking");
  if (!thinking.is_null() && type_of(thinking, "thinking") != "disabled")
    refuse_unsupported("thinking", "is not supported: leave it out, or disable it.");
  for (const char* name : {"mcp_servers", "container", "context_management"})
    if (!optional_member(body, name).is_null()) refuse_unsupported(name, "is not supported.");
}

ChatRequest read_request(const json& body, const RequestLimits& limits) {
  ChatRequest chat;
  chat.model = read_label(required_member(body, "model", ""), "model", kMaxLabelBytes);
  refuse_unsupported_members(body);
  read_system(body, chat);
  read_messages(body, chat);
  read_sampling(body, limits, chat);
  read_tools(body, chat);
  read_format(body, chat);
  const json& metadata = optional_member(body, "metadata");
  if (!metadata.is_null()) {
    require_object(metadata, "metadata");
    const json& user = optional_member(metadata, "user_id");
    if (!user.is_null()) chat.extra["user"] = read_label(user, "metadata.user_id", kMaxLabelBytes);
  }
  return chat;
}

} // namespace

std::variant<ChatRequest, RequestError> parse_client_request(const json& body,
                                                             const RequestLimits& limits) {
  try {
    return read_request(body, limits);
  } catch (const Refusal& refusal) {
    return refusal.error;
  }
}

} // namespace holdfast::anthropic_format
