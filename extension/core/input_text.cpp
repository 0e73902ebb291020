#include "extension/core/input_text.hpp"

#include <algorithm>
#include <optional>

namespace holdfast {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// How many bytes follow a lead byte, and the range of the first of them.
struct Lead {
  int followers;
  unsigned char least;
  unsigned char most;
};

std::optional<Lead> utf8_lead(unsigned char byte) {
  if (byte < 0x80) return Lead{0, 0, 0};
  if (byte >= 0xc2 && byte <= 0xdf) return Lead{1, 0x80, 0xbf};
  if (byte == 0xe0) return Lead{2, 0xa0, 0xbf};
  if (byte == 0xed) return Lead{2, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return Lead{2, 0x80, 0xbf};
  if (byte == 0xf0) return Lead{3, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return Lead{3, 0x80, 0xbf};
  if (byte == 0xf4) return Lead{3, 0x80, 0x8f};
  return std::nullopt;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// The character and how many of it, when the line is one that begins or ends code; else count 0.
struct Fence {
  char mark = '\0';
  std::size_t count = 0;
};

Fence fence_of(std::string_view line) {
  while (!line.empty() && is_blank(line.front()))
    line.remove_prefix(1);
  constexpr std::size_t kLeast = 3;
  if (line.empty() || (line.front() != '`' && line.front() != '~')) return {};
  const std::size_t count = std::min(line.find_first_not_of(line.front()), line.size());
  return count >= kLeast ? Fence{line.front(), count} : Fence{};
}

// One line and how it ended: "", CR, LF or CRLF.
struct Line {
  std::string_view text;
  std::string_view ending;
};

Line take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
  const std::size_t ending =
      rest.substr(end, 2) == "\r\n" ? 2 : std::min<std::size_t>(rest.size() - end, 1);
  const Line line{rest.substr(0, end), rest.substr(end, ending)};
  rest.remove_prefix(end + ending);
  return line;
}

} // namespace

bool is_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const auto lead = utf8_lead(static_cast<unsigned char>(bytes[i++]));
    if (!lead || bytes.size() - i < static_cast<std::size_t>(lead->followers)) return false;
    for (int k = 0; k < lead->followers; ++k, ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      const unsigned char least = k == 0 ? lead->least : 0x80;
      const unsigned char most = k == 0 ? lead->most : 0xbf;
      if (byte < least || byte > most) return false;
    }
  }
  return true;
}

std::string without_nul(std::string_view text) {
  std::string result(text);
  result.erase(std::remove(result.begin(), result.end(), '\0'), result.end());
  return result;
}

std::string normalized_input(std::string_view text) {
  const std::string clean = without_nul(text);
  std::string_view rest = clean;
  std::string result;
  Fence open;           // of the code that we are in
  std::size_t kept = 0; // up to here nothing is to be taken off the end
  while (!rest.empty()) {
    Line line = take_line(rest);
    while (result.empty() && line.text.substr(0, kByteOrderMark.size()) == kByteOrderMark)
      line.text.remove_prefix(kByteOrderMark.size());
    const Fence fence = fence_of(line.text);
    const bool closes = open.count > 0 && fence.mark == open.mark && fence.count >= open.count;
    if (open.count > 0 && !closes) {
      result.append(line.text).append(line.ending);
      kept = result.size();
      continue;
    }
    open = closes ? Fence{} : fence;
    std::string_view words = line.text;
    while (!words.empty() && is_blank(words.back()))
      words.remove_suffix(1);
    if (words.empty() && result.empty()) continue;
    result.append(words);
    if (!words.empty()) kept = result.size();
    if (!line.ending.empty()) result += '\n';
  }
  result.resize(kept);
  return result;
}

} // namespace holdfast
