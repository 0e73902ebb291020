#include "gateway/bounded_json.hpp"
#include "gateway/openai_fields.hpp"
#include "gateway/openai_format.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxMessages = 10000;
constexpr std::size_t kMaxParts = 1000;
constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kMaxStops = 4;
constexpr std::size_t kMaxLogitBiases = 1024;
constexpr std::size_t kMaxLabelBytes = 256;
constexpr int kMaxChoices = 8;

bool starts_with(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

ContentPart read_image(const json& part, const std::string& path) {
  const json& image = required_member(part, "image_url", path);
  const std::string image_path = join_path(path, "image_url");
  require_object(image, image_path);
  ContentPart read;
  read.kind = ContentPart::Kind::image_url;
  read.text = read_text(required_member(image, "url", image_path), join_path(image_path, "url"));
  if (!starts_with(read.text, "https://") && !starts_with(read.text, "http://") &&
      !starts_with(read.text, "data:image/"))
    refuse_value(join_path(image_path, "url"), "must be an http, https or data:image URL.");
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

void read_messages(const json& body, ChatRequest& chat) {
  const json& messages = required_member(body, "messages", "");
  require_array(messages, "messages", 1, kMaxMessages);
  for (std::size_t i = 0; i < messages.size(); ++i)
    chat.messages.push_back(read_message(messages[i], join_path("messages", i)));
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

void check_tool_choice(const json& choice, const json& tools) {
  if (choice.is_string()) {
    read_word(choice, "tool_choice", {"none", "auto", "required"});
  } else {
    if (!choice.is_object()) refuse_type("tool_choice", "a string or an object", choice);
    read_word(required_member(choice, "type", "tool_choice"), "tool_choice.type", {"function"});
    const json& function = required_member(choice, "function", "tool_choice");
    require_object(function, "tool_choice.function");
    const std::string name = read_identifier(
        required_member(function, "name", "tool_choice.function"), "tool_choice.function.name");
    if (!has_tool(tools, name))
      refuse_value("tool_choice.function.name", "names no function of `tools`.");
  }
  if (tools.is_null()) refuse_value("tool_choice", "is only allowed together with `tools`.");
}

void read_tools(const json& body, ChatRequest& chat) {
  const json& tools = optional_member(body, "tools");
  if (!tools.is_null()) {
    require_array(tools, "tools", 0, kMaxTools);
    for (std::size_t i = 0; i < tools.size(); ++i)
      check_tool(tools[i], join_path("tools", i));
    // An empty list means none; some providers refuse it.
    if (!tools.empty()) chat.tools = tools;
  }
  const json& choice = optional_member(body, "tool_choice");
  if (choice.is_null()) return;
  check_tool_choice(choice, chat.tools);
  chat.tool_choice = choice;
}

void read_response_format(const json& body, ChatRequest& chat) {
  const json& format = optional_member(body, "response_format");
  if (format.is_null()) return;
  require_object(format, "response_format");
  const std::string type =
      read_word(required_member(format, "type", "response_format"), "response_format.type",
                {"text", "json_object", "json_schema"});
  if (type == "json_schema") {
    const std::string path = "response_format.json_schema";
    const json& schema = required_member(format, "json_schema", "response_format");
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

void read_token_limit(const json& body, const RequestLimits& limits, ChatRequest& chat) {
  const json& old_name = optional_member(body, "max_tokens");
  const json& new_name = optional_member(body, "max_completion_tokens");
  if (!old_name.is_null() && !new_name.is_null())
    refuse_value("max_tokens", "and `max_completion_tokens` exclude each other: send only one.");
  chat.max_tokens = std::min(limits.default_max_tokens, limits.max_completion_tokens);
  const json& given = new_name.is_null() ? old_name : new_name;
  if (given.is_null()) return;
  const char* param = new_name.is_null() ? "max_tokens" : "max_completion_tokens";
  chat.max_tokens = static_cast<int>(read_integer(given, param, 1, limits.max_completion_tokens));
}

void read_sampling(const json& body, ChatRequest& chat) {
  const json& temperature = optional_member(body, "temperature");
  if (!temperature.is_null()) chat.temperature = read_number(temperature, "temperature", 0, 2);
  const json& top_p = optional_member(body, "top_p");
  if (!top_p.is_null()) chat.top_p = read_number(top_p, "top_p", 0, 1);
  const json& seed = optional_member(body, "seed");
  if (!seed.is_null())
    chat.seed = read_integer(seed, "seed", std::numeric_limits<std::int64_t>::min(),
                             std::numeric_limits<std::int64_t>::max());
  const json& choices = optional_member(body, "n");
  if (!choices.is_null())
    chat.choices = static_cast<int>(read_integer(choices, "n", 1, kMaxChoices));
}

void check_logit_bias(const json& biases) {
  require_object(biases, "logit_bias");
  if (biases.size() > kMaxLogitBiases)
    refuse_value("logit_bias",
                 "must have at most " + std::to_string(kMaxLogitBiases) + " entries.");
  for (const json& bias : biases)
    read_number(bias, "logit_bias", -100, 100);
}

// The members that are passed on as they are. None of them changes a token's price.
void read_extra(const json& body, ChatRequest& chat) {
  const auto pass_on = [&](const char* name, auto&& check) {
    const json& value = optional_member(body, name);
    if (value.is_null()) return;
    check(value, name);
    chat.extra[name] = value;
  };
  const auto penalty = [](const json& v, const char* name) { read_number(v, name, -2, 2); };
  const auto flag = [](const json& v, const char* name) { read_bool(v, name); };
  const auto label = [](const json& v, const char* name) { read_label(v, name, kMaxLabelBytes); };
  pass_on("frequency_penalty", penalty);
  pass_on("presence_penalty", penalty);
  pass_on("logprobs", flag);
  pass_on("parallel_tool_calls", flag);
  pass_on("logit_bias", [](const json& v, const char*) { check_logit_bias(v); });
  pass_on("top_logprobs", [](const json& v, const char* name) { read_integer(v, name, 0, 20); });
  for (const char* name :
       {"reasoning_effort", "verbosity", "user", "safety_identifier", "prompt_cache_key"})
    pass_on(name, label);
  if (chat.extra.contains("top_logprobs") && !chat.extra.value("logprobs", false))
    refuse_value("top_logprobs", "is only allowed when `logprobs` is true.");
}

void refuse_unsupported_members(const json& body) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kUnsupported = {{
      {"functions", "is not supported: use `tools`."},
      {"function_call", "is not supported: use `tool_choice`."},
      {"audio", "is not supported."},
      {"web_search_options", "is not supported."},
  }};
  for (const auto& [name, message] : kUnsupported)
    if (!optional_member(body, name).is_null()) refuse_unsupported(name, message);
}

bool read_stream(const json& body, ChatRequest& chat) {
  const json& stream = optional_member(body, "stream");
  if (!stream.is_null()) chat.stream = read_bool(stream, "stream");
  const json& options = optional_member(body, "stream_options");
  if (options.is_null()) return false;
  require_object(options, "stream_options");
  if (!chat.stream) refuse_value("stream_options", "is only allowed when `stream` is true.");
  const json& include_usage = optional_member(options, "include_usage");
  return !include_usage.is_null() && read_bool(include_usage, "stream_options.include_usage");
}

ClientRequest read_request(const json& body, const RequestLimits& limits) {
  ClientRequest request;
  ChatRequest& chat = request.chat;
  chat.model = read_label(required_member(body, "model", ""), "model", kMaxLabelBytes);
  refuse_unsupported_members(body);
  read_messages(body, chat);
  read_token_limit(body, limits, chat);
  read_sampling(body, chat);
  read_stop(body, chat);
  read_tools(body, chat);
  read_response_format(body, chat);
  read_extra(body, chat);
  request.include_usage = read_stream(body, chat);
  return request;
}

} // namespace

std::variant<ClientRequest, RequestError> parse_client_request(std::string_view body,
                                                               const RequestLimits& limits) {
  const std::optional<json> document = parse_bounded_json(body);
  if (!document)
    return RequestError{"",
                        "The body is not valid JSON in UTF-8, or is nested more than " +
                            std::to_string(kMaxJsonDepth) + " levels deep.",
                        "invalid_json"};
  if (!document->is_object())
    return RequestError{"", "The body must be a JSON object.", "invalid_type"};
  try {
    return read_request(*document, limits);
  } catch (const Refusal& refusal) {
    return refusal.error;
  }
}

} // namespace holdfast::openai_format
