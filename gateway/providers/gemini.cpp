#include "gateway/providers/gemini.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/features.hpp"
#include "gateway/providers/gemini_request.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/retry_delay.hpp"
#include "gateway/providers/sse_stream.hpp"
#include "gateway/providers/translate.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using json_read::text;
using nlohmann::json;

constexpr int kStatusOk = 200;

// An answer that calls a function ends with STOP too.
std::string finish_reason(const json& candidate, bool has_calls) {
  static const std::vector<FinishWord> words = {{"MAX_TOKENS", "length"},
                                                {"SAFETY", "content_filter"},
                                                {"RECITATION", "content_filter"},
                                                {"BLOCKLIST", "content_filter"},
                                                {"PROHIBITED_CONTENT", "content_filter"},
                                                {"SPII", "content_filter"},
                                                {"IMAGE_SAFETY", "content_filter"}};
  const std::string reason = finish_word(text(candidate, "finishReason"), words);
  return reason == "stop" && has_calls ? "tool_calls" : reason;
}

// Thoughts are not in the candidates' count, and what tools put into the prompt not in the
// prompt's.
std::optional<Usage> read_usage(const json& metadata) {
  const auto count = [&](const char* name) { return json_read::token_count(metadata, name); };
  if (!json_read::whole_number(member(metadata, "promptTokenCount"), json_read::kMaxTokenCount))
    return std::nullopt;
  Usage usage;
  usage.prompt_tokens = count("promptTokenCount") + count("toolUsePromptTokenCount");
  usage.reasoning_tokens = count("thoughtsTokenCount");
  usage.completion_tokens = count("candidatesTokenCount") + usage.reasoning_tokens;
  usage.cached_tokens = std::min(count("cachedContentTokenCount"), usage.prompt_tokens);
  return usage;
}

std::vector<Citation> read_citations(const json& candidate) {
  std::vector<Citation> citations;
  const json& sources = member(member(candidate, "citationMetadata"), "citationSources");
  if (!sources.is_array()) return citations;
  for (const json& source : sources) {
    Citation citation;
    citation.url = text(source, "uri");
    citation.begin =
        json_read::whole_number(member(source, "startIndex"), json_read::kMaxTokenCount);
    citation.end = json_read::whole_number(member(source, "endIndex"), json_read::kMaxTokenCount);
    citations.push_back(std::move(citation));
  }
  return citations;
}

// The texts and calls of one candidate; `calls` is how many it has made before.
struct Parts {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> calls;
};

Parts read_parts(const json& candidate, const std::string& answer_id, std::size_t calls) {
  Parts read;
  const json& parts = member(member(candidate, "content"), "parts");
  if (!parts.is_array()) return read;
  for (const json& part : parts) {
    const json& thought = member(part, "thought");
    const bool is_thought = thought.is_boolean() && thought.get<bool>();
    (is_thought ? read.reasoning : read.content) += text(part, "text");
    const json& call = member(part, "functionCall");
    if (!call.is_object()) continue;
    std::string id = text(call, "id");
    if (id.empty()) id = "call_" + answer_id + "_" + std::to_string(calls + read.calls.size());
    const json& arguments = member(call, "args");
    read.calls.push_back(
        {std::move(id), text(call, "name"), arguments.is_object() ? dump_json(arguments) : "{}"});
  }
  return read;
}

// A prompt that is refused has no candidates.
std::optional<ProviderError> refused_prompt(const json& body) {
  const std::string reason = text(member(body, "promptFeedback"), "blockReason");
  if (reason.empty()) return std::nullopt;
  ProviderError error;
  error.error_class = ErrorClass::content_filter;
  error.status = kStatusOk;
  error.message = "The provider refused the prompt: " + clean_message(reason) + ".";
  error.code = clean_message(reason);
  error.maybe_charged = true;
  return error;
}

// The entry of an error's details that has this member.
const json& detail_with(const json& error, const char* name) {
  static const json null;
  const json& details = member(error, "details");
  if (!details.is_array()) return null;
  for (const json& detail : details)
    if (!member(detail, name).is_null()) return detail;
  return null;
}

bool is_daily_quota(const json& error) {
  const json& violations = member(detail_with(error, "violations"), "violations");
  if (!violations.is_array()) return false;
  return std::any_of(violations.begin(), violations.end(), [](const json& violation) {
    return text(violation, "quotaId").find("PerDay") != std::string::npos;
  });
}

// What the body says beside its sentence: why, and when to come back.
ProviderError refined(ProviderError error, const json& said) {
  const std::string reason = text(detail_with(said, "reason"), "reason");
  error.code = clean_message(reason.empty() ? text(said, "status") : reason);
  if (reason == "API_KEY_INVALID" || reason == "API_KEY_EXPIRED")
    error.error_class = ErrorClass::auth;
  if (error.error_class == ErrorClass::rate_limit && is_daily_quota(said)) {
    error.error_class = ErrorClass::quota_exhausted;
    error.retry_after_ms.reset();
  }
  const std::string delay = text(detail_with(said, "retryDelay"), "retryDelay");
  if (is_transient(error.error_class) && !error.retry_after_ms)
    error.retry_after_ms = parse_duration_ms(delay);
  return error;
}

// Some errors come inside of a list of one.
json unwrapped(json body) {
  if (body.is_array() && body.size() == 1) return std::move(body.front());
  return body;
}

class GeminiStream : public SseStreamParser {
protected:
  void take(const json& received, std::string_view /*text*/) override {
    const json chunk = unwrapped(received);
    if (const auto said = read_error_member(chunk)) {
      ProviderError error = refined(make_error(kStatusOk, *said), member(chunk, "error"));
      error.maybe_charged = begun_;
      return fail(std::move(error));
    }
    if (auto error = refused_prompt(chunk)) return fail(std::move(*error));
    const json& candidates = member(chunk, "candidates");
    const std::optional<Usage> usage = read_usage(member(chunk, "usageMetadata"));
    if (!candidates.is_array() && !usage) return;
    StreamEvent event;
    event.id = text(chunk, "responseId");
    event.model = text(chunk, "modelVersion");
    if (candidates.is_array())
      for (const json& candidate : candidates)
        event.deltas.push_back(read_candidate(candidate, event.id));
    event.usage = usage;
    // Before the end some models count no candidates yet.
    if (event.usage && !is_complete()) event.usage->estimated = true;
    begun_ = true;
    emit(std::move(event));
  }

  bool is_complete() const override {
    return !finished_.empty() && std::all_of(finished_.begin(), finished_.end(),
                                             [](const auto& choice) { return choice.second; });
  }

private:
  ChatDelta read_candidate(const json& candidate, const std::string& id) {
    ChatDelta delta;
    delta.index = json_read::index(candidate);
    std::size_t& calls = calls_[delta.index];
    Parts parts = read_parts(candidate, id, calls);
    delta.content = std::move(parts.content);
    delta.reasoning = std::move(parts.reasoning);
    for (ToolCall& call : parts.calls)
      delta.tool_calls.push_back({static_cast<int>(calls++), std::move(call.id),
                                  std::move(call.name), std::move(call.arguments)});
    delta.citations = read_citations(candidate);
    delta.finish_reason = finish_reason(candidate, calls > 0);
    bool& finished = finished_[delta.index];
    finished = finished || !delta.finish_reason.empty();
    return delta;
  }

  bool begun_ = false;
  std::map<int, bool> finished_;
  std::map<int, std::size_t> calls_;
};

Choice read_choice(const json& candidate, const std::string& id) {
  Choice choice;
  choice.index = json_read::index(candidate);
  Parts parts = read_parts(candidate, id, 0);
  choice.content = std::move(parts.content);
  choice.reasoning = std::move(parts.reasoning);
  choice.tool_calls = std::move(parts.calls);
  choice.citations = read_citations(candidate);
  choice.finish_reason = finish_reason(candidate, !choice.tool_calls.empty());
  return choice;
}

} // namespace

std::optional<UnsupportedFeature> Gemini::unsupported(const ChatRequest& request) const {
  Features features;
  features.image_urls = false;
  features.logprobs = false;
  features.logit_bias = false;
  features.max_stops = 5;
  features.max_choices = 8;
  features.seed = !request.seed || (*request.seed >= std::numeric_limits<std::int32_t>::min() &&
                                    *request.seed <= std::numeric_limits<std::int32_t>::max());
  return first_unsupported(request, features);
}

HttpRequest Gemini::chat_request(const ChatRequest& request, const std::string& api_key) const {
  HttpRequest http = json_post(gemini_path(request), request.stream, gemini_body(request));
  http.headers.emplace_back("x-goog-api-key", api_key);
  return http;
}

HttpRequest Gemini::health_request(const std::string& api_key) const {
  HttpRequest http = plain_get("/models?pageSize=1");
  http.headers.emplace_back("x-goog-api-key", api_key);
  return http;
}

std::variant<ChatAnswer, ProviderError> Gemini::parse_chat(const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer));
  if (const auto said = read_error_member(*body))
    return refined(make_error(answer.status, *said), member(*body, "error"));
  if (auto error = refused_prompt(*body)) return std::move(*error);
  const json& candidates = member(*body, "candidates");
  if (!candidates.is_array() || candidates.empty())
    return broken_answer("The provider answered with JSON that has no candidates.");
  ChatAnswer parsed;
  parsed.id = text(*body, "responseId");
  parsed.model = text(*body, "modelVersion");
  for (const json& candidate : candidates)
    parsed.choices.push_back(read_choice(candidate, parsed.id));
  parsed.usage = read_usage(member(*body, "usageMetadata"));
  return parsed;
}

ProviderError Gemini::parse_error(const HttpAnswer& answer) const {
  const std::optional<json> received = parse_bounded_json(answer.body);
  if (!received) return error_of_answer(answer, std::nullopt);
  const json body = unwrapped(*received);
  return refined(error_of_answer(answer, read_error_body(body)), member(body, "error"));
}

std::unique_ptr<StreamParser> Gemini::stream_parser() const {
  return std::make_unique<GeminiStream>();
}

} // namespace holdfast::provider
