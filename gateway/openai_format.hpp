// OpenAI's chat JSON to structs and back: outward for providers that speak it, inward for
// /v1/chat/completions. Pure.
#pragma once

#include "gateway/chat.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast::openai_format {

// ---- Inward: a client's request (openai_request.cpp), what it gets back (openai_answer.cpp) ----

// What is wrong with a client's request: always a 400. `param` names the member, as in
// `messages[2].content[0].type`; empty when the body as a whole is wrong. `code` is one of
// missing_required_parameter, invalid_type, invalid_value, unsupported_parameter.
struct RequestError {
  std::string param;
  std::string message;
  std::string code;
};

// A request without max_tokens gets the default; one above `max_completion_tokens` is refused.
struct RequestLimits {
  int default_max_tokens = 1024;
  int max_completion_tokens = 128000;
};

// A client's request. `include_usage`: the client asked for the usage chunk of the stream.
struct ClientRequest {
  ChatRequest chat;
  bool include_usage = false;
};

// Reads the body of POST /v1/chat/completions. Every member the gateway knows is checked strictly.
// Members that only tune the model go to `extra`; those that would change what the call costs
// (service_tier) or are unknown are ignored; those whose absence a client would miss are refused.
// NUL is removed from texts. `model` is as the client wrote it, provider prefix included.
std::variant<ClientRequest, RequestError> parse_client_request(const nlohmann::json& body,
                                                               const RequestLimits& limits);

// The body of a chat completion.
nlohmann::json write_answer(const ChatAnswer& answer);

// A call of a function, whole, or a piece of one in a stream.
nlohmann::json write_tool_call(const ToolCall& call);
nlohmann::json write_tool_call_piece(const ChatDelta::ToolCallPiece& piece);

// OpenAI's usage object.
nlohmann::json write_usage(const Usage& usage);

// Writes the chunks of one stream, each as a whole SSE event (`data: …`, blank line). The first
// chunk of each choice carries the role.
class ChunkWriter {
public:
  // `id`, `model` and `created` (Unix seconds) are the same in all chunks. With `include_usage`
  // every chunk but the usage chunk has `usage: null`, as OpenAI's have.
  ChunkWriter(std::string id, std::string model, std::int64_t created, bool include_usage);

  // The event's deltas as one SSE event, or "" when they say nothing. Usage, error and `done` are
  // not written: the caller decides when they are due.
  std::string deltas(const StreamEvent& event);

  // The chunk with empty choices and the usage.
  std::string usage(const Usage& usage) const;

  // An error in a stream that has begun, given the whole body `{"error":{…}}`.
  static std::string error(const nlohmann::json& error_body);

  // The end of every stream.
  static std::string done();

private:
  nlohmann::json frame() const;

  std::string id_;
  std::string model_;
  std::int64_t created_;
  bool include_usage_;
  std::vector<int> begun_;
};

// ---- Outward: a provider that speaks OpenAI's chat JSON (openai_wire.cpp) ----

// The member that bounds the completion.
enum class TokenLimitField { max_tokens, max_completion_tokens };

// The body to send. On streams, stream_options.include_usage is always asked for. Of the request's
// `extra` only what `extras` names is sent; all of it when that is empty.
nlohmann::json write_request(const ChatRequest& request, TokenLimitField limit_field,
                             const std::vector<std::string>& extras = {});

// A completion. Nothing when the body is none, or has no choice.
std::optional<ChatAnswer> parse_answer(const nlohmann::json& body);

// One chunk of a stream. Nothing when it is none. An `error` member is the caller's business.
std::optional<StreamEvent> parse_chunk(const nlohmann::json& chunk);

// A usage object. Nothing when it is none, or a count is missing, negative or absurd: then the call
// is settled by an estimate rather than by nonsense.
std::optional<Usage> parse_usage(const nlohmann::json& usage);

} // namespace holdfast::openai_format
