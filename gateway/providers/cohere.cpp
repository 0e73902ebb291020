#include "gateway/providers/cohere.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/openai_format.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/features.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/sse_stream.hpp"
#include "gateway/providers/translate.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using json_read::text;
using nlohmann::json;

constexpr int kStatusOk = 200;

std::string finish_reason(const json& holder) {
  static const std::vector<FinishWord> words = {
      {"MAX_TOKENS", "length"},          {"ERROR_LIMIT", "length"}, {"TOOL_CALL", "tool_calls"},
      {"ERROR_TOXIC", "content_filter"}, {"ERROR", "error"},        {"TIMEOUT", "error"}};
  return finish_word(text(holder, "finish_reason"), words);
}

// Cached tokens are counted on the real prompt, template included, and cost no less: they are no
// part of the billed one.
std::optional<Usage> read_usage(const json& usage) {
  const json& real = member(usage, "tokens");
  const json& billed = member(usage, "billed_units");
  const bool is_billed = !member(billed, "input_tokens").is_null();
  const json& counted = is_billed ? billed : real;
  const auto input =
      json_read::whole_number(member(counted, "input_tokens"), json_read::kMaxTokenCount);
  const auto output =
      json_read::whole_number(member(counted, "output_tokens"), json_read::kMaxTokenCount);
  if (!input || !output) return std::nullopt;
  Usage read;
  read.prompt_tokens = *input;
  read.completion_tokens = *output;
  read.reasoning_tokens = std::min(json_read::token_count(real, "reasoning_tokens"), *output);
  if (!is_billed)
    read.cached_tokens = std::min(json_read::token_count(usage, "cached_tokens"), *input);
  return read;
}

// One citation for each source: a document or the output of a tool.
void read_citation(const json& citation, std::vector<Citation>& citations) {
  const json& sources = member(citation, "sources");
  if (!sources.is_array()) return;
  for (const json& source : sources) {
    const json& document = member(source, "document");
    Citation read;
    read.document_id = text(source, "id");
    read.url = text(document, "url");
    read.title = text(document, "title");
    read.text = text(citation, "text");
    read.begin = json_read::whole_number(member(citation, "start"), json_read::kMaxTokenCount);
    read.end = json_read::whole_number(member(citation, "end"), json_read::kMaxTokenCount);
    citations.push_back(std::move(read));
  }
}

ToolCall read_call(const json& call) {
  const json& function = member(call, "function");
  return {text(call, "id"), text(function, "name"), text(function, "arguments")};
}

Choice read_choice(const json& body) {
  const json& message = member(body, "message");
  Choice choice;
  choice.reasoning = text(message, "tool_plan");
  const json& content = member(message, "content");
  if (content.is_array())
    for (const json& piece : content) {
      choice.content += text(piece, "text");
      choice.reasoning += text(piece, "thinking");
    }
  const json& calls = member(message, "tool_calls");
  if (calls.is_array())
    for (const json& call : calls)
      choice.tool_calls.push_back(read_call(call));
  const json& citations = member(message, "citations");
  if (citations.is_array())
    for (const json& citation : citations)
      read_citation(citation, choice.citations);
  choice.finish_reason = finish_reason(body);
  return choice;
}

void fit_message(json& message) {
  if (message["role"] == "developer") message["role"] = "system";
  message.erase("name");
  const std::string refusal = text(message, "refusal");
  message.erase("refusal");
  if (!message["content"].is_null()) return;
  message.erase("content");
  if (!refusal.empty()) message["content"] = refusal;
}

// A function that must be called is the only one offered: there is no other way to name it.
void fit_tool_choice(json& body) {
  const json choice = std::exchange(body["tool_choice"], nullptr);
  body.erase("tool_choice");
  if (choice == "none") body["tool_choice"] = "NONE";
  const std::string name = chosen_function(choice);
  if (choice == "required" || !name.empty()) body["tool_choice"] = "REQUIRED";
  if (name.empty()) return;
  json& tools = body["tools"];
  tools.erase(
      std::remove_if(tools.begin(), tools.end(),
                     [&](const json& tool) { return text(function_of(tool), "name") != name; }),
      tools.end());
}

json cohere_body(const ChatRequest& request) {
  constexpr double kMinP = 0.01;
  constexpr double kMaxP = 0.99;
  json body = openai_format::write_request(request, openai_format::TokenLimitField::max_tokens,
                                           {"frequency_penalty", "presence_penalty"});
  for (json& message : body["messages"])
    fit_message(message);
  body.erase("stream_options");
  body.erase("stop");
  if (!request.stop.empty()) body["stop_sequences"] = request.stop;
  body.erase("top_p");
  if (request.top_p) body["p"] = std::clamp(*request.top_p, kMinP, kMaxP);
  if (body.contains("tool_choice")) fit_tool_choice(body);
  body.erase("response_format");
  if (text(request.response_format, "type").rfind("json_", 0) == 0)
    body["response_format"] = {{"type", "json_object"}};
  if (!response_schema(request).is_null())
    body["response_format"]["json_schema"] = response_schema(request);
  return body;
}

class CohereStream : public SseStreamParser {
protected:
  void take(const json& event, std::string_view /*text*/) override {
    const std::string type = text(event, "type");
    const json& delta = member(event, "delta");
    if (type == "message-start") {
      id_ = text(event, "id");
      emit_delta({});
    } else if (type == "message-end") {
      take_end(delta);
    } else if (type.empty()) {
      take_error(event);
    } else {
      take_piece(event, type, member(delta, "message"));
    }
  }

  bool is_complete() const override { return false; }

private:
  void emit_delta(ChatDelta delta, std::optional<Usage> usage = std::nullopt) {
    StreamEvent event;
    event.id = id_;
    event.deltas.push_back(std::move(delta));
    event.usage = std::move(usage);
    emit(std::move(event));
  }

  void take_piece(const json& event, const std::string& type, const json& message) {
    ChatDelta delta;
    if (type == "content-start" || type == "content-delta") {
      const json& content = member(message, "content");
      delta.content = text(content, "text");
      delta.reasoning = text(content, "thinking");
    } else if (type == "tool-plan-delta") {
      delta.reasoning = text(message, "tool_plan");
    } else if (type == "tool-call-start" || type == "tool-call-delta") {
      ToolCall call = read_call(member(message, "tool_calls"));
      delta.tool_calls.push_back({json_read::index(event), std::move(call.id), std::move(call.name),
                                  std::move(call.arguments)});
    } else if (type == "citation-start") {
      read_citation(member(message, "citations"), delta.citations);
    }
    const bool says_nothing = delta.content.empty() && delta.reasoning.empty() &&
                              delta.tool_calls.empty() && delta.citations.empty();
    if (!says_nothing) emit_delta(std::move(delta));
  }

  void take_end(const json& end) {
    ChatDelta delta;
    delta.finish_reason = finish_reason(end);
    std::optional<Usage> usage = read_usage(member(end, "usage"));
    if (delta.finish_reason == "error") {
      if (usage) emit_delta({}, std::move(usage));
      return fail(broken_answer("The provider failed while it answered."));
    }
    emit_delta(std::move(delta), std::move(usage));
    done();
  }

  void take_error(const json& event) {
    const auto said = read_error_body(event);
    if (!said) return;
    ProviderError error = make_error(kStatusOk, *said);
    error.maybe_charged = !id_.empty();
    fail(std::move(error));
  }

  std::string id_;
};

} // namespace

std::optional<UnsupportedFeature> Cohere::unsupported(const ChatRequest& request) const {
  Features features;
  features.logprobs = false;
  features.logit_bias = false;
  features.max_stops = 5;
  features.max_choices = 1;
  features.seed = !request.seed || *request.seed >= 0;
  // Penalties go from 0 to 1 there.
  for (const char* name : {"frequency_penalty", "presence_penalty"}) {
    const json& penalty = member(request.extra, name);
    if (penalty.is_number() && (penalty.get<double>() < 0 || penalty.get<double>() > 1))
      return UnsupportedFeature{"penalties", name};
  }
  return first_unsupported(request, features);
}

HttpRequest Cohere::chat_request(const ChatRequest& request, const std::string& api_key) const {
  HttpRequest http = json_post("/v2/chat", request.stream, cohere_body(request));
  http.headers.emplace_back("Authorization", "Bearer " + api_key);
  return http;
}

HttpRequest Cohere::health_request(const std::string& api_key) const {
  HttpRequest http = plain_get("/v1/models?page_size=1");
  http.headers.emplace_back("Authorization", "Bearer " + api_key);
  return http;
}

std::variant<ChatAnswer, ProviderError> Cohere::parse_chat(const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer));
  if (!member(*body, "message").is_object())
    return broken_answer("The provider answered with JSON that is no chat message.");
  ChatAnswer parsed;
  parsed.id = text(*body, "id");
  parsed.choices.push_back(read_choice(*body));
  if (parsed.choices.front().finish_reason == "error")
    return broken_answer("The provider failed while it answered.");
  parsed.usage = read_usage(member(*body, "usage"));
  return parsed;
}

ProviderError Cohere::parse_error(const HttpAnswer& answer) const {
  const std::optional<json> body = parse_bounded_json(answer.body);
  return error_of_answer(answer, body ? read_error_body(*body) : std::nullopt);
}

std::unique_ptr<StreamParser> Cohere::stream_parser() const {
  return std::make_unique<CohereStream>();
}

} // namespace holdfast::provider
