#pragma once

#include "extension/core/text_template.hpp"

#include <memory>

namespace holdfast {

// When a step runs: comparisons of {{names}}, "texts" and numbers (== != < <= > >= contains), or a
// {{name}} alone (true unless empty, "false" or "0"), joined by && and ||, negated by !, grouped by
// parentheses. Two operands that are both decimal numbers compare as numbers, else as text.
class Condition {
public:
  Condition() = default; // always true

  // Throws Error PT422 naming `step` and where it cannot be read.
  static Condition parse(std::string_view text, const std::string& step = {});

  std::vector<TextTemplate::Name> names() const;
  using ValueOf = std::function<std::string(const TextTemplate::Name&)>;
  bool holds(const ValueOf& value_of) const;

  struct Node;

private:
  std::shared_ptr<const Node> root_;
};

} // namespace holdfast
