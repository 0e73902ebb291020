#include "gateway/providers/translate.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"

#include <utility>

namespace holdfast::provider {

using json_read::member;
using nlohmann::json;

std::optional<DataUrl> parse_data_url(const std::string& url) {
  constexpr std::size_t kSchemeBytes = 5;
  const std::string encoding = ";base64,";
  const std::size_t at = url.find(encoding);
  if (url.rfind("data:", 0) != 0 || at == std::string::npos || at == kSchemeBytes)
    return std::nullopt;
  const std::string kind = url.substr(kSchemeBytes, at - kSchemeBytes);
  return DataUrl{kind.substr(0, kind.find(';')), url.substr(at + encoding.size())};
}

std::string text_of(const Message& message) {
  std::string text;
  for (const ContentPart& part : message.parts)
    if (part.kind == ContentPart::Kind::text) text += part.text;
  return text;
}

json arguments_object(const std::string& arguments) {
  if (arguments.empty()) return json::object();
  std::optional<json> parsed = parse_bounded_json(arguments);
  if (parsed && parsed->is_object()) return std::move(*parsed);
  return {{"arguments", arguments}};
}

const json& response_schema(const ChatRequest& request) {
  return member(member(request.response_format, "json_schema"), "schema");
}

std::string chosen_function(const json& tool_choice) {
  return json_read::text(member(tool_choice, "function"), "name");
}

const json& function_of(const json& tool) {
  return member(tool, "function");
}

std::string finish_word(const std::string& theirs, const std::vector<FinishWord>& words) {
  if (theirs.empty()) return {};
  for (const FinishWord& word : words)
    if (theirs == word.theirs) return word.ours;
  return "stop";
}

HttpRequest json_post(std::string path, bool stream, const json& body) {
  HttpRequest http;
  http.method = "POST";
  http.path = std::move(path);
  http.headers = {{"Content-Type", "application/json"},
                  {"Accept", stream ? "text/event-stream" : "application/json"}};
  http.body = dump_json(body);
  return http;
}

HttpRequest plain_get(std::string path) {
  HttpRequest http;
  http.method = "GET";
  http.path = std::move(path);
  http.headers = {{"Accept", "application/json"}};
  return http;
}

} // namespace holdfast::provider
