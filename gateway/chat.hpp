// What every front door, adapter and test speaks: one chat call, its answer, its stream, its error.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// One part of a message. `text` is the text itself, or the image's URL (https or data URL).
// `detail` is low, high, auto or empty, and only for images.
struct ContentPart {
  enum class Kind { text, image_url };
  Kind kind = Kind::text;
  std::string text;
  std::string detail;
};

// A function the model asks to be called. `arguments` is JSON text as the model wrote it: it may
// be malformed, and is never parsed here.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

// `role` is system, developer, user, assistant or tool. `parts` is empty when an assistant message
// only calls tools. `tool_call_id` is set for role tool.
struct Message {
  std::string role;
  std::vector<ContentPart> parts;
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;
  std::string name;
  std::string refusal;
};

// One chat call. `max_tokens` bounds each choice and is always set and sent to the provider, since
// the hold was sized for it. `tools`, `tool_choice` and `response_format` are null when absent,
// else in OpenAI's shape. `extra` is an object of further OpenAI parameters, passed on as they are.
struct ChatRequest {
  std::string model;
  std::vector<Message> messages;
  nlohmann::json tools;
  nlohmann::json tool_choice;
  nlohmann::json response_format;
  std::vector<std::string> stop;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> seed;
  int max_tokens = 0;
  int choices = 1;
  bool stream = false;
  nlohmann::json extra = nlohmann::json::object();
};

// Tokens of one call, normalized: `prompt_tokens` includes cached reads and writes,
// `completion_tokens` includes reasoning and all choices. `estimated` when no provider counted
// them, or not to the end. `reported_cost_usd` is decimal text as the provider wrote it, where it
// reports a cost.
struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t cache_write_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  bool estimated = false;
  std::optional<std::string> reported_cost_usd;
};

// Where an answer, or a part of it, has its facts from: a page (`url`), or a document or tool
// result of the request (`document_id`). `begin` and `end` bound the part of the content it stands
// for, in the provider's own count of characters; both are missing when the provider names none.
// `text` is that part, as far as the provider repeats it.
struct Citation {
  std::string url;
  std::string document_id;
  std::string title;
  std::string text;
  std::optional<std::int64_t> begin;
  std::optional<std::int64_t> end;
};

// One answer of the model. `finish_reason` uses OpenAI's words: stop, length, tool_calls,
// content_filter. `logprobs` is OpenAI's object, or null.
// NOLINTNEXTLINE(bugprone-exception-escape): moving a json never throws
struct Choice {
  int index = 0;
  std::string content;
  std::string refusal;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
  std::vector<Citation> citations;
  std::string finish_reason;
  nlohmann::json logprobs;
};

// A whole answer. `created` is in Unix seconds, 0 when the provider does not say. `model` is the
// model that answered, in the provider's words. No usage: count it with gateway::UsageCounter.
struct ChatAnswer {
  std::string id;
  std::string model;
  std::int64_t created = 0;
  std::vector<Choice> choices;
  std::optional<Usage> usage;
};

// What went wrong with an attempt. `client_gone` is not the provider's fault: our caller left.
enum class ErrorClass {
  auth,
  invalid_request,
  context_length,
  content_filter,
  rate_limit,
  quota_exhausted,
  overloaded,
  timeout,
  network,
  server,
  client_gone,
};

// A failed attempt. `status` is the provider's HTTP status, 0 when none came. `message` is the
// provider's own words, or a sentence of ours, without secrets. `code` is the provider's error
// code, may be empty. `maybe_charged`: the request went out and no refusal came back, so that
// tokens may have been billed; when false the hold can be released whole.
struct ProviderError {
  ErrorClass error_class = ErrorClass::server;
  int status = 0;
  std::string message;
  std::string code;
  std::optional<int> retry_after_ms;
  bool maybe_charged = false;
};

// One piece of one choice. Empty strings mean "nothing of this kind in this piece".
// NOLINTNEXTLINE(bugprone-exception-escape): moving a json never throws
struct ChatDelta {
  // `id` and `name` come with the first piece of a call; `arguments` is a fragment of JSON text.
  struct ToolCallPiece {
    int index = 0;
    std::string id;
    std::string name;
    std::string arguments;
  };
  int index = 0;
  std::string content;
  std::string refusal;
  std::string reasoning;
  std::vector<ToolCallPiece> tool_calls;
  std::vector<Citation> citations;
  std::string finish_reason;
  nlohmann::json logprobs;
};

// One event of a stream. `done` comes once, last, in a stream that ended as it should; `error`
// comes once, last, in one that did not. Usage may come more than once: the last one counts. One
// that is `estimated` counts the prompt, and the completion only as far as it had come.
struct StreamEvent {
  std::string id;
  std::string model;
  std::int64_t created = 0;
  std::vector<ChatDelta> deltas;
  std::optional<Usage> usage;
  std::optional<ProviderError> error;
  bool done = false;
};

// The class's name in snake_case, for error codes, logs and metadata.
std::string_view error_class_name(ErrorClass error_class);

// True when the same request may succeed later: rate_limit, overloaded, timeout, network, server.
bool is_transient(ErrorClass error_class);

} // namespace holdfast
