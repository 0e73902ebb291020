#include "gateway/sse.hpp"

#include <utility>

namespace holdfast {

SseReader::SseReader(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

bool SseReader::feed(std::string_view bytes, std::vector<SseEvent>& events) {
  while (!bytes.empty() && !too_large_) {
    // The LF of a CRLF whose CR has already ended the line.
    if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    if (!append_to_line(bytes.substr(0, end)) || end == std::string_view::npos) break;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line(events);
  }
  return !too_large_;
}

std::optional<SseEvent> SseReader::finish() {
  std::vector<SseEvent> events;
  if (!too_large_) end_line(events);
  if (too_large_) return std::nullopt;
  if (!events.empty()) return std::move(events.front());
  return take_event();
}

bool SseReader::append_to_line(std::string_view bytes) {
  if (bytes.size() > max_event_bytes_ - line_.size()) {
    too_large_ = true;
    return false;
  }
  line_.append(bytes);
  return true;
}

void SseReader::end_line(std::vector<SseEvent>& events) {
  std::string_view line = line_;
  if (std::exchange(first_line_, false) && line.substr(0, 3) == "\xEF\xBB\xBF")
    line.remove_prefix(3);
  if (line.empty()) {
    if (std::optional<SseEvent> event = take_event()) events.push_back(std::move(*event));
  } else {
    take_field(line);
  }
  line_.clear();
}

void SseReader::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);

  if (name == "data") {
    if (value.size() + 1 > max_event_bytes_ - data_.size()) {
      too_large_ = true;
      return;
    }
    data_.append(value).push_back('\n');
    has_data_ = true;
  } else if (name == "event") {
    type_ = value;
  } else if (name == "id" && value.find('\0') == std::string_view::npos) {
    id_ = value;
  }
}

std::optional<SseEvent> SseReader::take_event() {
  std::string type = std::exchange(type_, {});
  if (!std::exchange(has_data_, false)) return std::nullopt;
  data_.pop_back();
  return SseEvent{std::move(type), std::exchange(data_, {}), id_};
}

} // namespace holdfast
