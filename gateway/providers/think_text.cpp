#include "gateway/providers/think_text.hpp"

#include <algorithm>

namespace holdfast::provider {

namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";

// How many bytes at the end of the text may be the beginning of the tag.
std::size_t begun_tag(std::string_view text, std::string_view tag) {
  for (std::size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size)
    if (text.substr(text.size() - size) == tag.substr(0, size)) return size;
  return 0;
}

} // namespace

void ThinkText::feed(std::string_view piece, std::string& thought, std::string& said) {
  if (state_ == State::saying) {
    said += piece;
    return;
  }
  held_ += piece;
  while (step(thought, said)) {
  }
}

void ThinkText::finish(std::string& thought, std::string& said) {
  (state_ == State::thinking || state_ == State::thinking_begins ? thought : said) += held_;
  held_.clear();
}

// Moves on by one state; false when that needs more text.
bool ThinkText::step(std::string& thought, std::string& said) {
  switch (state_) {
  case State::before: {
    const std::size_t begin = held_.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos) return false;
    const std::string_view text = std::string_view(held_).substr(begin);
    if (text.size() < kOpen.size() && kOpen.substr(0, text.size()) == text) return false;
    const bool thinks = text.substr(0, kOpen.size()) == kOpen;
    if (thinks) held_.erase(0, begin + kOpen.size());
    state_ = thinks ? State::thinking_begins : State::saying;
    return true;
  }
  case State::thinking_begins:
  case State::saying_begins: {
    held_.erase(0, std::min(held_.find_first_not_of("\r\n"), held_.size()));
    if (held_.empty()) return false;
    state_ = state_ == State::thinking_begins ? State::thinking : State::saying;
    return true;
  }
  case State::thinking: {
    const std::size_t close = held_.find(kClose);
    const std::size_t end =
        close != std::string::npos ? close : held_.size() - begun_tag(held_, kClose);
    thought.append(held_, 0, end);
    held_.erase(0, close != std::string::npos ? close + kClose.size() : end);
    if (close == std::string::npos) return false;
    state_ = State::saying_begins;
    return true;
  }
  case State::saying:
    said += held_;
    held_.clear();
    return false;
  }
  return false;
}

} // namespace holdfast::provider
