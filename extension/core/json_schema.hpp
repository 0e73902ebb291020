#pragma once

#include "extension/core/json_value.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// What a JSON value has to be: of JSON Schema the keywords type, properties, required,
// additionalProperties (true or false), items, minItems, maxItems, minLength, maxLength (in
// characters), minimum, maximum and enum. title and description are for readers.
class JsonSchema {
public:
  // Throws Error PT422 naming `step` for any other keyword, and for a rule that nothing can keep.
  static JsonSchema parse(const JsonValue& schema, const std::string& step = {});

  // The first thing that does not fit, as a sentence with its place; nullopt when all does.
  std::optional<std::string> fault(const JsonValue& value) const;

  // A value that fits, the same each time; its texts begin with `mark` where there is room. nullopt
  // when the smallest one is beyond measure.
  std::optional<JsonValue> example(std::string_view mark) const;

  std::string str() const; // as it was given, without spaces

  struct Node;

private:
  std::shared_ptr<const Node> root_;
  JsonValue source_;
};

// The JSON in an answer: the whole, or what stands in a fence or between other words, longest
// first. Empty when there is none.
std::vector<JsonValue> json_in(std::string_view answer);

} // namespace holdfast
