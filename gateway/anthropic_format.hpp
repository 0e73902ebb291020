// Anthropic's messages JSON to structs and back, for clients that speak it. Pure.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/openai_format.hpp"

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::anthropic_format {

using openai_format::RequestError;
using openai_format::RequestLimits;

// Reads the body of POST /v1/messages (messages_request.cpp). Every member the gateway knows is
// checked strictly. Hints (cache_control, top_k, service_tier) and what is unknown are ignored;
// what a client would miss (thinking, server tools, documents that are no plain text) is refused.
// Thoughts of earlier turns are left out. `model` is as the client wrote it.
std::variant<ChatRequest, RequestError> parse_client_request(const nlohmann::json& body,
                                                             const RequestLimits& limits);

// The body of a message, made of the answer's first choice (messages_answer.cpp).
nlohmann::json write_answer(const ChatAnswer& answer, const Usage& usage);

// Anthropic's usage object: what is cached is not in input_tokens.
nlohmann::json write_usage(const Usage& usage);

// The stop_reason for OpenAI's finish_reason; null when there is none.
nlohmann::json stop_reason(const std::string& finish_reason);

// One SSE event.
std::string sse_event(const nlohmann::json& data);

// Writes the events of one stream, each as a whole SSE event. Blocks follow each other, as in
// Anthropic's streams: what comes of a tool call while another is open waits for its end.
class EventWriter {
public:
  EventWriter(std::string id, std::string model) : id_(std::move(id)), model_(std::move(model)) {}

  // The events that these deltas make, "" when they say nothing.
  std::string deltas(const StreamEvent& event);

  // Ends the last block, and writes what waits. The message's own end is the caller's.
  std::string finish();

  // The stop_reason so far, null when none came.
  const nlohmann::json& stop() const { return stop_; }

private:
  enum class Kind { none, text, thinking, tool };
  struct Call {
    ToolCall whole;
    bool written = false;
  };

  std::string begin();
  std::string open(Kind kind, const nlohmann::json& block);
  std::string close();
  std::string piece(const nlohmann::json& delta) const;
  std::string say(Kind kind, const std::string& text);
  std::string call_piece(const ChatDelta::ToolCallPiece& received);
  bool may_close() const;

  std::string id_;
  std::string model_;
  bool begun_ = false;
  Kind open_kind_ = Kind::none;
  int open_call_ = 0;
  int block_ = -1;
  std::map<int, Call> calls_;
  nlohmann::json stop_;
};

} // namespace holdfast::anthropic_format
