// Feeds a stream to its parser in pieces, for tests.
#pragma once

#include "gateway/providers/provider.hpp"

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

// The events of a body that is cut at these places, in ascending order.
inline std::vector<StreamEvent> parse_in_pieces(const provider::Adapter& adapter,
                                                std::string_view body,
                                                std::vector<std::size_t> splits) {
  const std::unique_ptr<provider::StreamParser> parser = adapter.stream_parser();
  std::vector<StreamEvent> events;
  splits.push_back(body.size());
  std::size_t begin = 0;
  for (const std::size_t end : splits) {
    for (StreamEvent& event : parser->feed(body.substr(begin, end - begin)))
      events.push_back(std::move(event));
    begin = end;
  }
  for (StreamEvent& event : parser->finish())
    events.push_back(std::move(event));
  return events;
}

inline std::vector<std::size_t> random_splits(std::mt19937& random, std::size_t size) {
  std::vector<std::size_t> splits(1 + random() % 40);
  for (std::size_t& split : splits)
    split = random() % (size + 1);
  std::sort(splits.begin(), splits.end());
  return splits;
}

// Where the events of a body begin.
inline std::vector<std::size_t> event_begins(const std::string& body) {
  const std::string gap = body.find("\r\n\r\n") != std::string::npos ? "\r\n\r\n" : "\n\n";
  std::vector<std::size_t> begins;
  for (std::size_t at = 0; at < body.size();) {
    begins.push_back(at);
    const std::size_t end = body.find(gap, at);
    at = end == std::string::npos ? body.size() : end + gap.size();
  }
  return begins;
}

// The stream without its middle events, when it has more bytes than this: each half keeps whole
// events.
inline std::string without_middle(const std::string& body, std::size_t max_bytes) {
  if (body.size() <= max_bytes) return body;
  const std::string gap = body.find("\r\n\r\n") != std::string::npos ? "\r\n\r\n" : "\n\n";
  const std::size_t head = body.find(gap, max_bytes / 2);
  const std::size_t tail = body.rfind(gap, body.size() - max_bytes / 2);
  if (head == std::string::npos || tail == std::string::npos || tail <= head) return body;
  return body.substr(0, head + gap.size()) + body.substr(tail + gap.size());
}

} // namespace holdfast::test
