#include "gateway/providers/gemini_request.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/translate.hpp"

#include <map>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

std::string percent_encoded(const std::string& text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string encoded;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kHex[byte / 16U], kHex[byte % 16U]};
  }
  return encoded;
}

json write_part(const ContentPart& part) {
  if (part.kind == ContentPart::Kind::text) return {{"text", part.text}};
  const auto image = parse_data_url(part.text);
  if (!image) return {{"fileData", {{"fileUri", part.text}}}};
  return {{"inlineData", {{"mimeType", image->media_type}, {"data", image->data}}}};
}

// Gemini 3 wants its own signature back with a call. This shape has no place for it; the word is
// the one that Google names for calls from elsewhere.
bool wants_signature(const std::string& model) {
  return model.rfind("gemini-3", 0) == 0;
}

json write_call(const ToolCall& call, bool signed_call) {
  json part = {{"functionCall", {{"name", call.name}, {"args", arguments_object(call.arguments)}}}};
  if (signed_call) part["thoughtSignature"] = "skip_thought_signature_validator";
  return part;
}

// A result is an object there: the text itself when it is one.
json write_result(const Message& message, const std::map<std::string, std::string>& names) {
  const auto known = names.find(message.tool_call_id);
  const std::string name = known != names.end() ? known->second : message.name;
  const std::string text = text_of(message);
  std::optional<json> object = parse_bounded_json(text);
  if (!object || !object->is_object()) object = json{{"result", text}};
  return {{"functionResponse", {{"name", name}, {"response", std::move(*object)}}}};
}

json write_parts(const Message& message, const std::string& model,
                 const std::map<std::string, std::string>& names) {
  json parts = json::array();
  if (message.role == "tool") {
    parts.push_back(write_result(message, names));
    return parts;
  }
  for (const ContentPart& part : message.parts)
    if (part.kind != ContentPart::Kind::text || !part.text.empty())
      parts.push_back(write_part(part));
  if (!message.refusal.empty()) parts.push_back({{"text", message.refusal}});
  bool first = true;
  for (const ToolCall& call : message.tool_calls)
    parts.push_back(write_call(call, std::exchange(first, false) && wants_signature(model)));
  return parts;
}

bool is_system(const Message& message) {
  return message.role == "system" || message.role == "developer";
}

json write_contents(const ChatRequest& request) {
  std::map<std::string, std::string> names;
  json contents = json::array();
  for (const Message& message : request.messages) {
    for (const ToolCall& call : message.tool_calls)
      names[call.id] = call.name;
    if (is_system(message)) continue;
    json parts = write_parts(message, request.model, names);
    if (parts.empty()) continue;
    const char* role = message.role == "assistant" ? "model" : "user";
    if (contents.empty() || contents.back()["role"] != role)
      contents.push_back({{"role", role}, {"parts", json::array()}});
    json& all = contents.back()["parts"];
    all.insert(all.end(), parts.begin(), parts.end());
  }
  return contents;
}

json write_tools(const ChatRequest& request) {
  json functions = json::array();
  for (const json& tool : request.tools) {
    const json& function = function_of(tool);
    json written = {{"name", json_read::text(function, "name")}};
    const std::string description = json_read::text(function, "description");
    if (!description.empty()) written["description"] = description;
    const json& parameters = member(function, "parameters");
    if (parameters.is_object()) written["parametersJsonSchema"] = parameters;
    functions.push_back(std::move(written));
  }
  return json::array({{{"functionDeclarations", std::move(functions)}}});
}

json write_tool_choice(const json& choice) {
  const std::string name = chosen_function(choice);
  if (!name.empty()) return {{"mode", "ANY"}, {"allowedFunctionNames", json::array({name})}};
  if (choice == "required") return {{"mode", "ANY"}};
  return {{"mode", choice == "none" ? "NONE" : "AUTO"}};
}

json write_config(const ChatRequest& request) {
  json config = {{"maxOutputTokens", request.max_tokens}};
  if (request.temperature) config["temperature"] = *request.temperature;
  if (request.top_p) config["topP"] = *request.top_p;
  if (request.seed) config["seed"] = *request.seed;
  if (!request.stop.empty()) config["stopSequences"] = request.stop;
  if (request.choices != 1) config["candidateCount"] = request.choices;
  for (const auto& [ours, theirs] : {std::pair("frequency_penalty", "frequencyPenalty"),
                                     {"presence_penalty", "presencePenalty"}})
    if (const json& penalty = member(request.extra, ours); penalty.is_number())
      config[theirs] = penalty;
  const std::string format = json_read::text(request.response_format, "type");
  if (format == "json_object" || format == "json_schema")
    config["responseMimeType"] = "application/json";
  if (!response_schema(request).is_null()) config["responseJsonSchema"] = response_schema(request);
  return config;
}

} // namespace

std::string gemini_model_path(const std::string& model) {
  const std::string prefix = "models/";
  const bool prefixed = model.rfind(prefix, 0) == 0;
  return prefix + percent_encoded(prefixed ? model.substr(prefix.size()) : model);
}

std::string gemini_path(const ChatRequest& request) {
  return "/" + gemini_model_path(request.model) +
         (request.stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
}

json gemini_body(const ChatRequest& request) {
  json body = {{"contents", write_contents(request)}, {"generationConfig", write_config(request)}};
  json system = json::array();
  for (const Message& message : request.messages)
    if (is_system(message)) system.push_back({{"text", text_of(message)}});
  if (!system.empty()) body["systemInstruction"] = {{"parts", std::move(system)}};
  if (!request.tools.is_array()) return body;
  body["tools"] = write_tools(request);
  if (!request.tool_choice.is_null())
    body["toolConfig"] = {{"functionCallingConfig", write_tool_choice(request.tool_choice)}};
  return body;
}

} // namespace holdfast::provider
