// Puts the pieces of a stream together again.
#pragma once

#include "gateway/chat.hpp"

namespace holdfast::gateway {

// Feed it every event; answer() is what the provider would have said without streaming, as far as
// it came. Its usage is left out: gateway::UsageCounter has it.
class StreamCollector {
public:
  void add(const StreamEvent& event);
  const ChatAnswer& answer() const { return answer_; }

private:
  Choice& choice(int index);

  ChatAnswer answer_;
};

// A whole answer as one event, to be replayed as a stream.
StreamEvent as_event(const ChatAnswer& answer);

} // namespace holdfast::gateway
