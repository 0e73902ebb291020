// Models that think aloud inside of their answer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::provider {

// Parts an answer that begins with <think>…</think> into what was thought and what was said. The
// line breaks right after either tag are dropped. Any split of the text gives the same parts.
class ThinkText {
public:
  // Takes the next piece and appends what it settles to `thought` and `said`.
  void feed(std::string_view piece, std::string& thought, std::string& said);

  // The text has ended: appends what was held back because it might have become a tag.
  void finish(std::string& thought, std::string& said);

private:
  enum class State { before, thinking_begins, thinking, saying_begins, saying };

  bool step(std::string& thought, std::string& said);

  State state_ = State::before;
  std::string held_;
};

} // namespace holdfast::provider
