#pragma once

#include "extension/core/error.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// A name in a template: parts of letters, digits and _, joined by dots.
bool is_name_part(std::string_view part);

// What is wrong with a definition: in one step, or in the whole when `step` is empty.
Error definition_fault(const std::string& step, const std::string& fault, const std::string& what);

// The beginning of a text in UTF-8, of at most so many bytes and whole characters.
std::string clipped(std::string_view text, std::size_t most_bytes);

// Text with {{names}} in it.
class TextTemplate {
public:
  // Throws Error PT422 naming `step` for a {{ without }}, or a name with a bad part.
  static TextTemplate parse(std::string_view text, const std::string& step = {});

  // Each name that the text holds, in order, by its parts.
  using Name = std::vector<std::string>;
  std::vector<Name> names() const;

  // The text with each name replaced by what `value_of` gives for it, once: what is put in is text,
  // also where it holds {{names}}. nullopt when the result is longer than `most_bytes`.
  std::optional<std::string> render(const std::function<std::string(const Name&)>& value_of,
                                    std::size_t most_bytes) const;

private:
  struct Piece {
    std::string text;
    Name name; // empty: the text itself
  };
  std::vector<Piece> pieces_;
};

} // namespace holdfast
