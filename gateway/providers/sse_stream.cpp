#include "gateway/providers/sse_stream.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/providers/error_body.hpp"

#include <utility>

namespace holdfast::provider {

std::vector<StreamEvent> SseStreamParser::feed(std::string_view bytes) {
  if (ended_) return {};
  std::vector<SseEvent> received;
  const bool readable = reader_.feed(bytes, received);
  for (const SseEvent& event : received)
    read(event);
  if (!readable) fail(broken_answer("The provider sent a stream event that is too large."));
  return std::exchange(events_, {});
}

std::vector<StreamEvent> SseStreamParser::finish() {
  if (ended_) return {};
  if (const std::optional<SseEvent> last = reader_.finish()) read(*last);
  if (!ended_ && is_complete()) done();
  fail(broken_answer("The provider ended the stream before it was complete."));
  return std::exchange(events_, {});
}

void SseStreamParser::read(const SseEvent& received) {
  if (ended_) return;
  if (received.data == "[DONE]") return done();
  const std::optional<nlohmann::json> document = parse_bounded_json(received.data);
  if (!document) return fail(broken_answer("The provider sent a stream event that is not JSON."));
  take(*document, received.data);
}

void SseStreamParser::emit(StreamEvent event) {
  if (ended_) return;
  has_begun_ = has_begun_ || !event.deltas.empty();
  events_.push_back(std::move(event));
}

void SseStreamParser::done() {
  if (ended_) return;
  flush();
  if (!has_begun_) return fail(broken_answer("The provider ended the stream without an answer."));
  StreamEvent last;
  last.done = true;
  emit(std::move(last));
  ended_ = true;
}

void SseStreamParser::fail(ProviderError error) {
  if (ended_) return;
  StreamEvent failed;
  failed.error = std::move(error);
  emit(std::move(failed));
  ended_ = true;
}

} // namespace holdfast::provider
