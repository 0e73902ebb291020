// Server-Sent Events, read as they come.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// One event. `type` is the `event:` field, empty when not given; `data` joins the `data:` lines by
// LF; `id` is the last id seen in the stream.
struct SseEvent {
  std::string type;
  std::string data;
  std::string id;
};

// Reads the WHATWG event-stream format: LF, CRLF and CR line ends, comments, a byte-order mark. Any
// split of the bytes gives the same events, in time linear in the bytes.
class SseReader {
public:
  static constexpr std::size_t kMaxEventBytes = 4194304;

  // One event's data, or one line of any kind, may have at most `max_event_bytes`.
  explicit SseReader(std::size_t max_event_bytes = kMaxEventBytes);

  // Appends the events these bytes complete. False when an event is too large: the reader then
  // takes nothing any more.
  [[nodiscard]] bool feed(std::string_view bytes, std::vector<SseEvent>& events);

  // The stream has ended: an event whose blank line is missing, since some servers omit the last
  // one.
  std::optional<SseEvent> finish();

private:
  bool append_to_line(std::string_view bytes);
  void end_line(std::vector<SseEvent>& events);
  void take_field(std::string_view line);
  std::optional<SseEvent> take_event();

  std::size_t max_event_bytes_;
  std::string line_;
  std::string type_;
  std::string data_;
  std::string id_;
  bool has_data_ = false;
  bool first_line_ = true;
  bool after_cr_ = false;
  bool too_large_ = false;
};

} // namespace holdfast
