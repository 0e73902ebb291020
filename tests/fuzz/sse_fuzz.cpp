// The reader of event streams: wherever the bytes are cut, the events are the same, and none is too
// large.
#include "gateway/sse.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using holdfast::SseEvent;
using holdfast::SseReader;

struct Reading {
  std::vector<SseEvent> events;
  bool readable = true;
};

Reading read(const std::vector<std::string_view>& pieces, std::size_t max_event_bytes) {
  SseReader reader(max_event_bytes);
  Reading reading;
  for (const std::string_view piece : pieces)
    reading.readable = reader.feed(piece, reading.events) && reading.readable;
  if (auto last = reader.finish()) reading.events.push_back(*last);
  for (const SseEvent& event : reading.events)
    holdfast::fuzz::require(event.data.size() <= max_event_bytes, "an event is within its bound");
  return reading;
}

void require_same(const Reading& a, const Reading& b) {
  holdfast::fuzz::require(a.readable == b.readable, "any split is as readable");
  holdfast::fuzz::require(a.events.size() == b.events.size(), "any split gives as many events");
  for (std::size_t i = 0; i < a.events.size(); ++i) {
    const SseEvent& one = a.events[i];
    const SseEvent& other = b.events[i];
    holdfast::fuzz::require(one.type == other.type && one.data == other.data && one.id == other.id,
                            "any split gives the same events");
  }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = holdfast::fuzz::text_of(data, size);
  std::vector<std::string_view> single(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    single[i] = bytes.substr(i, 1);
  for (const std::size_t bound : {std::size_t{24}, SseReader::kMaxEventBytes}) {
    const Reading whole = read({bytes}, bound);
    require_same(read(holdfast::fuzz::pieces_of(bytes), bound), whole);
    require_same(read(single, bound), whole);
  }
  return 0;
}
