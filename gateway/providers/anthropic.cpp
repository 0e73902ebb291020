#include "gateway/providers/anthropic.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/anthropic_request.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/features.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/sse_stream.hpp"
#include "gateway/providers/translate.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using json_read::text;
using nlohmann::json;

constexpr int kStatusOk = 200;
constexpr const char* kVersion = "2023-06-01";

std::string finish_reason(const json& holder) {
  static const std::vector<FinishWord> words = {{"max_tokens", "length"},
                                                {"model_context_window_exceeded", "length"},
                                                {"tool_use", "tool_calls"},
                                                {"refusal", "content_filter"}};
  return finish_word(text(holder, "stop_reason"), words);
}

// What is cached is not in `input_tokens`. Counts that are missing keep their value: the end of a
// stream repeats only some.
bool read_usage(const json& usage, Usage& counted, std::int64_t& uncached) {
  const auto count = [&](const char* name, std::int64_t& value) {
    const auto read = json_read::whole_number(member(usage, name), json_read::kMaxTokenCount);
    if (read) value = *read;
    return read.has_value();
  };
  const bool has_input = count("input_tokens", uncached);
  const bool has_output = count("output_tokens", counted.completion_tokens);
  count("cache_read_input_tokens", counted.cached_tokens);
  count("cache_creation_input_tokens", counted.cache_write_tokens);
  const json& details = member(usage, "output_tokens_details");
  counted.reasoning_tokens = std::min(
      std::max(json_read::token_count(details, "thinking_tokens"), counted.reasoning_tokens),
      counted.completion_tokens);
  counted.prompt_tokens = uncached + counted.cached_tokens + counted.cache_write_tokens;
  return has_input || has_output;
}

Citation read_citation(const json& citation) {
  Citation read;
  read.url = text(citation, "url");
  read.title = text(citation, read.url.empty() ? "document_title" : "title");
  read.text = text(citation, "cited_text");
  const auto document =
      json_read::whole_number(member(citation, "document_index"), json_read::kMaxTokenCount);
  if (read.url.empty() && document) read.document_id = std::to_string(*document);
  return read;
}

void read_block(const json& block, Choice& choice) {
  const std::string type = text(block, "type");
  if (type == "text") {
    choice.content += text(block, "text");
    const json& citations = member(block, "citations");
    if (citations.is_array())
      for (const json& citation : citations)
        choice.citations.push_back(read_citation(citation));
  } else if (type == "thinking") {
    choice.reasoning += text(block, "thinking");
  } else if (type == "tool_use") {
    const json& input = member(block, "input");
    choice.tool_calls.push_back(
        {text(block, "id"), text(block, "name"), input.is_object() ? dump_json(input) : "{}"});
  }
}

class AnthropicStream : public SseStreamParser {
protected:
  void take(const json& event, std::string_view /*text*/) override {
    const std::string type = text(event, "type");
    if (type == "message_start") {
      take_start(member(event, "message"));
    } else if (type == "content_block_start") {
      take_block_start(event);
    } else if (type == "content_block_delta") {
      take_delta(event, member(event, "delta"));
    } else if (type == "content_block_stop") {
      take_block_stop(json_read::index(event));
    } else if (type == "message_delta") {
      take_message_delta(event);
    } else if (type == "message_stop") {
      done();
    } else if (const auto said = read_error_member(event)) {
      ProviderError error = make_error(kStatusOk, *said);
      error.maybe_charged = !id_.empty();
      fail(std::move(error));
    }
  }

  bool is_complete() const override { return finished_; }

private:
  struct Call {
    int index = 0;
    bool has_arguments = false;
  };

  StreamEvent event_of(ChatDelta delta) const {
    StreamEvent event;
    event.id = id_;
    event.model = model_;
    event.deltas.push_back(std::move(delta));
    return event;
  }

  // The prompt is counted by now, the completion is not.
  void take_start(const json& message) {
    id_ = text(message, "id");
    model_ = text(message, "model");
    StreamEvent event = event_of({});
    if (read_usage(member(message, "usage"), usage_, uncached_)) {
      event.usage = usage_;
      event.usage->estimated = true;
    }
    emit(std::move(event));
  }

  void take_block_start(const json& event) {
    const json& block = member(event, "content_block");
    ChatDelta delta;
    if (text(block, "type") == "tool_use") {
      const json& given = member(block, "input");
      const Call call{static_cast<int>(calls_.size()), given.is_object() && !given.empty()};
      calls_[json_read::index(event)] = call;
      const std::string input = call.has_arguments ? dump_json(given) : "";
      delta.tool_calls.push_back({call.index, text(block, "id"), text(block, "name"), input});
    } else {
      delta.content = text(block, "text");
      delta.reasoning = text(block, "thinking");
      if (delta.content.empty() && delta.reasoning.empty()) return;
    }
    emit(event_of(std::move(delta)));
  }

  void take_delta(const json& event, const json& piece) {
    ChatDelta delta;
    const std::string type = text(piece, "type");
    if (type == "text_delta") {
      delta.content = text(piece, "text");
    } else if (type == "thinking_delta") {
      delta.reasoning = text(piece, "thinking");
    } else if (type == "citations_delta") {
      delta.citations.push_back(read_citation(member(piece, "citation")));
    } else if (type == "input_json_delta") {
      const auto call = calls_.find(json_read::index(event));
      std::string arguments = text(piece, "partial_json");
      if (call == calls_.end() || arguments.empty()) return;
      call->second.has_arguments = true;
      delta.tool_calls.push_back({call->second.index, "", "", std::move(arguments)});
    } else {
      return;
    }
    emit(event_of(std::move(delta)));
  }

  // A call without arguments has an empty text here, and an empty object elsewhere.
  void take_block_stop(int block) {
    const auto call = calls_.find(block);
    if (call == calls_.end() || call->second.has_arguments) return;
    call->second.has_arguments = true;
    ChatDelta delta;
    delta.tool_calls.push_back({call->second.index, "", "", "{}"});
    emit(event_of(std::move(delta)));
  }

  void take_message_delta(const json& event) {
    ChatDelta delta;
    delta.finish_reason = finish_reason(member(event, "delta"));
    finished_ = finished_ || !delta.finish_reason.empty();
    StreamEvent finished = event_of(std::move(delta));
    if (read_usage(member(event, "usage"), usage_, uncached_)) finished.usage = usage_;
    emit(std::move(finished));
  }

  std::string id_;
  std::string model_;
  Usage usage_;
  std::int64_t uncached_ = 0;
  std::map<int, Call> calls_;
  bool finished_ = false;
};

} // namespace

std::optional<UnsupportedFeature> Anthropic::unsupported(const ChatRequest& request) const {
  Features features;
  features.json_mode = false;
  features.json_schema = !is_older_claude(request.model);
  features.seed = false;
  features.logprobs = false;
  features.logit_bias = false;
  features.penalties = false;
  features.max_choices = 1;
  features.max_temperature = 1;
  return first_unsupported(request, features);
}

HttpRequest Anthropic::chat_request(const ChatRequest& request, const std::string& api_key) const {
  HttpRequest http = json_post("/v1/messages", request.stream, anthropic_body(request));
  http.headers.emplace_back("x-api-key", api_key);
  http.headers.emplace_back("anthropic-version", kVersion);
  if (wants_structured_outputs(request))
    http.headers.emplace_back("anthropic-beta", "structured-outputs-2025-11-13");
  return http;
}

HttpRequest Anthropic::health_request(const std::string& api_key) const {
  HttpRequest http = plain_get("/v1/models?limit=1");
  http.headers.emplace_back("x-api-key", api_key);
  http.headers.emplace_back("anthropic-version", kVersion);
  return http;
}

std::variant<ChatAnswer, ProviderError> Anthropic::parse_chat(const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer));
  if (const auto said = read_error_member(*body)) return make_error(answer.status, *said);
  if (!member(*body, "content").is_array())
    return broken_answer("The provider answered with JSON that is no message.");
  ChatAnswer parsed;
  parsed.id = text(*body, "id");
  parsed.model = text(*body, "model");
  Choice choice;
  for (const json& block : member(*body, "content"))
    read_block(block, choice);
  choice.finish_reason = finish_reason(*body);
  parsed.choices.push_back(std::move(choice));
  Usage usage;
  std::int64_t uncached = 0;
  if (read_usage(member(*body, "usage"), usage, uncached)) parsed.usage = usage;
  return parsed;
}

ProviderError Anthropic::parse_error(const HttpAnswer& answer) const {
  const std::optional<json> body = parse_bounded_json(answer.body);
  return error_of_answer(answer, body ? read_error_body(*body) : std::nullopt);
}

std::unique_ptr<StreamParser> Anthropic::stream_parser() const {
  return std::make_unique<AnthropicStream>();
}

} // namespace holdfast::provider
