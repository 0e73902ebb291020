// What must hold of everything an adapter makes of a provider's bytes, and what every front door
// must make of that.
#pragma once

#include "gateway/anthropic_format.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/openai_format.hpp"
#include "gateway/providers/anthropic.hpp"
#include "gateway/sse.hpp"
#include "gateway/stream_collector.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace holdfast::fuzz {

// Counts that make a price: each within reason, no part more than its whole.
inline void check(const Usage& usage) {
  const auto counts = [](std::int64_t count) {
    return count >= 0 && count <= json_read::kMaxTokenCount;
  };
  require(counts(usage.prompt_tokens) && counts(usage.completion_tokens), "counts make sense");
  require(usage.cached_tokens >= 0 && usage.cache_write_tokens >= 0 &&
              usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens,
          "what was cached is in the prompt");
  require(usage.reasoning_tokens >= 0 && usage.reasoning_tokens <= usage.completion_tokens,
          "what was thought is in the completion");
}

inline void check(const ProviderError& error) {
  require(!error.message.empty() && error.message.size() <= 1100, "an error says what, in short");
  require(!error.retry_after_ms ||
              (*error.retry_after_ms >= 0 && *error.retry_after_ms <= 86400000),
          "a delay is at most a day");
}

// The text is whole SSE events of JSON.
inline void check_events(const std::string& text) {
  SseReader reader(std::size_t{1} << 30U);
  std::vector<SseEvent> events;
  require(reader.feed(text, events) && !reader.finish(), "a written event is whole");
  for (const SseEvent& event : events)
    require(event.data == "[DONE]" || parse_bounded_json(event.data, 1 << 20),
            "a written event is JSON");
}

// What is kept of an answer can be read again: a repeated request is answered with it.
inline void check_stored(const ChatAnswer& answer) {
  const auto stored = parse_bounded_json(dump_json(openai_format::write_answer(answer)));
  require(stored && openai_format::parse_answer(*stored), "a stored chat can be read");
  const Usage usage = answer.usage.value_or(Usage{});
  const std::string message = dump_json(anthropic_format::write_answer(answer, usage));
  const auto read = provider::Anthropic().parse_chat({200, {}, message});
  require(std::holds_alternative<ChatAnswer>(read), "a stored message can be read");
}

inline void check(const ChatAnswer& answer) {
  if (answer.usage) check(*answer.usage);
  check_stored(answer);
}

// Each front door's stream of these events.
class StreamChecks {
public:
  void take(const StreamEvent& event) {
    require(!ended_, "nothing follows the end");
    ended_ = event.done || event.error;
    if (event.usage) check(*event.usage);
    if (event.error) check(*event.error);
    check_events(chunks_.deltas(event));
    messages_.append(message_.deltas(event));
    collector_.add(event);
    failed_ = failed_ || event.error;
  }

  void finish() {
    require(ended_, "a stream ends");
    check_events(messages_ + message_.finish());
    if (!failed_) check(collector_.answer());
  }

private:
  openai_format::ChunkWriter chunks_{"id", "model", 1, true};
  anthropic_format::EventWriter message_{"id", "model"};
  gateway::StreamCollector collector_;
  std::string messages_;
  bool ended_ = false;
  bool failed_ = false;
};

} // namespace holdfast::fuzz
