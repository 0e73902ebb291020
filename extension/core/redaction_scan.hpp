// What the redaction's patterns are found with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::redaction {

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
inline bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
inline bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z');
}
inline bool is_alnum(char c) {
  return is_digit(c) || is_letter(c);
}

// A text that counts how often it is looked at.
class Scan {
public:
  explicit Scan(std::string_view text) : text_(text) {}

  std::size_t size() const { return text_.size(); }
  std::uint64_t looks() const { return looks_; }
  std::string_view part(std::size_t from, std::size_t to) const {
    return text_.substr(from, to - from);
  }

  // NUL behind the end.
  char at(std::size_t i) const {
    ++looks_;
    return i < text_.size() ? text_[i] : '\0';
  }
  // NUL before the begin, and behind what was replaced last.
  char before(std::size_t i) const { return i == begin_ ? '\0' : at(i - 1); }
  void begin_at(std::size_t i) { begin_ = i; }

  // Whether a word or number may begin here: nothing of one stands before, and it takes no letter
  // of an escape of JSON for its own, as the n in "\n555-010-9999".
  bool begins_word(std::size_t i) const {
    return (!is_alnum(before(i)) && !is_escape(i)) || ends_escape(i);
  }

  // Whether this character, with the backslash before it, may be an escape of JSON.
  bool is_escape(std::size_t i) const;
  // Whether such an escape, also one of four digits, ends right before.
  bool ends_escape(std::size_t i) const;

  // How many bytes a single blank, hyphen, or dot where `or_dot`, has here; 0 when there is none.
  std::size_t separator(std::size_t i, bool or_dot) const;

  // Whether one of `words` stands shortly before, in this line and with no digit or bracket
  // between.
  template <std::size_t count>
  bool has_before(std::size_t i, const std::string_view (&words)[count]) const {
    const std::size_t from = context_begin(i);
    for (const std::string_view word : words)
      if (has_word(from, i, word)) return true;
    return false;
  }

private:
  std::size_t context_begin(std::size_t i) const;
  bool has_word(std::size_t from, std::size_t to, std::string_view word) const;
  bool word_edge(std::size_t i) const;

  std::string_view text_;
  std::size_t begin_ = 0;
  mutable std::uint64_t looks_ = 0;
};

// Each tells how many bytes what it knows has at this place, 0 when it is not there.
using Match = std::size_t (*)(const Scan& scan, std::size_t at);
std::size_t prefixed_key(const Scan& scan, std::size_t at);
std::size_t bare_key(const Scan& scan, std::size_t at);
std::size_t card_number(const Scan& scan, std::size_t at);
std::size_t social_security_number(const Scan& scan, std::size_t at);
std::size_t phone_number(const Scan& scan, std::size_t at);

} // namespace holdfast::redaction
