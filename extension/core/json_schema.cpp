#include "extension/core/json_schema.hpp"

#include "extension/core/text_template.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace holdfast {

using Kind = JsonValue::Kind;

struct JsonSchema::Node {
  std::vector<std::string> types; // empty: any
  std::vector<std::pair<std::string, Node>> properties;
  std::vector<std::string> required;
  bool is_closed = false; // no member but the properties
  std::shared_ptr<const Node> items;
  std::size_t least_items = 0;
  std::size_t most_items = std::numeric_limits<std::size_t>::max();
  std::size_t least_length = 0;
  std::size_t most_length = std::numeric_limits<std::size_t>::max();
  std::optional<std::string> least; // decimals, as they were written
  std::optional<std::string> most;
  std::vector<JsonValue> values; // empty: any
};

namespace {

using Node = JsonSchema::Node;

constexpr std::size_t kMostCount = 1'000'000;   // of items or characters that a rule may ask for
constexpr std::size_t kMostNameShown = 64;      // bytes
constexpr std::size_t kMostExample = 1'000'000; // bytes and values together
constexpr std::array<std::string_view, 7> kTypes = {"string", "number", "integer", "boolean",
                                                    "array",  "object", "null"};

double to_double(const std::string& decimal) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(decimal.data(), decimal.data() + decimal.size(), number);
  if (error == std::errc()) return number;
  // Beyond what is counted with: very large, or next to nothing.
  const bool is_tiny = decimal.find("e-") != std::string::npos ||
                       decimal.find("E-") != std::string::npos || decimal.rfind("0.", 0) == 0;
  if (is_tiny) return 0;
  const double huge = std::numeric_limits<double>::infinity();
  return decimal.front() == '-' ? -huge : huge;
}

bool is_whole(const std::string& decimal) {
  const double number = to_double(decimal);
  return std::isinf(number) || std::floor(number) == number;
}

std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

std::string_view type_of(const JsonValue& value) {
  switch (value.kind) {
  case Kind::null:
    return "null";
  case Kind::boolean:
    return "boolean";
  case Kind::number:
    return "number";
  case Kind::text:
    return "string";
  case Kind::array:
    return "array";
  case Kind::object:
    return "object";
  }
  return "";
}

bool is_of_type(const JsonValue& value, std::string_view type) {
  if (type == "integer") return value.is(Kind::number) && is_whole(value.text);
  return type_of(value) == type;
}

// Members in any order, numbers by what they come to.
bool equal(const JsonValue& a, const JsonValue& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size() || a.members.size() != b.members.size())
    return false;
  if (a.is(Kind::boolean)) return a.flag == b.flag;
  if (a.is(Kind::number)) return a.text == b.text || to_double(a.text) == to_double(b.text);
  if (a.is(Kind::text)) return a.text == b.text;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(a.items[i], b.items[i])) return false;
  }
  return std::all_of(a.members.begin(), a.members.end(), [&](const JsonMember& member) {
    const JsonValue* other = b.find(member.name);
    return other != nullptr && equal(member.value, *other);
  });
}

class Reader {
public:
  explicit Reader(const std::string& step) : step_(step) {}

  Node read(const JsonValue& schema, const std::string& place) const {
    if (!schema.is(Kind::object)) throw fault(place, "is no object");
    Node node;
    for (const JsonMember& rule : schema.members)
      read_rule(rule, place, node);
    if (node.least_items > node.most_items) throw fault(place, "has minItems above maxItems");
    if (node.least_length > node.most_length) throw fault(place, "has minLength above maxLength");
    if (node.least && node.most && to_double(*node.least) > to_double(*node.most))
      throw fault(place, "has minimum above maximum");
    for (const std::string& name : node.required) {
      const auto same = [&](const auto& property) { return property.first == name; };
      if (node.is_closed && std::none_of(node.properties.begin(), node.properties.end(), same))
        throw fault(place, "requires \"" + shown(name) + "\", which is none of its properties");
    }
    return node;
  }

private:
  static std::string shown(const std::string& name) { return clipped(name, kMostNameShown); }

  Error fault(const std::string& place, const std::string& what) const {
    return definition_fault(step_, "bad_schema",
                            (place.empty() ? "Its schema" : "Its schema at " + place) + " " + what +
                                ".");
  }

  void read_rule(const JsonMember& rule, const std::string& place, Node& node) const {
    const std::string& name = rule.name;
    const JsonValue& value = rule.value;
    if (name == "type")
      node.types = type_names(value, place);
    else if (name == "properties")
      read_properties(value, place, node);
    else if (name == "required")
      node.required = texts(value, "required", place);
    else if (name == "additionalProperties")
      node.is_closed = !flag(value, place);
    else if (name == "items")
      node.items = std::make_shared<const Node>(read(value, place + "[]"));
    else if (name == "minItems")
      node.least_items = count(rule, place);
    else if (name == "maxItems")
      node.most_items = count(rule, place);
    else if (name == "minLength")
      node.least_length = count(rule, place);
    else if (name == "maxLength")
      node.most_length = count(rule, place);
    else if (name == "minimum")
      node.least = decimal(rule, place);
    else if (name == "maximum")
      node.most = decimal(rule, place);
    else if (name == "enum")
      node.values = values(value, place);
    else if (name != "title" && name != "description")
      throw fault(place, "has \"" + shown(name) + "\", which is no keyword that is known here");
  }

  std::vector<std::string> type_names(const JsonValue& value, const std::string& place) const {
    std::vector<std::string> names;
    if (value.is(Kind::text))
      names = {value.text};
    else
      names = texts(value, "type", place);
    for (const std::string& name : names) {
      if (std::find(kTypes.begin(), kTypes.end(), name) == kTypes.end())
        throw fault(place, "has the type \"" + shown(name) + "\", which there is not");
    }
    if (names.empty()) throw fault(place, "has a type that names none");
    return names;
  }

  void read_properties(const JsonValue& value, const std::string& place, Node& node) const {
    if (!value.is(Kind::object)) throw fault(place, "has properties that are no object");
    for (const JsonMember& member : value.members)
      node.properties.emplace_back(
          member.name, read(member.value, place + (place.empty() ? "" : ".") + shown(member.name)));
  }

  std::vector<std::string> texts(const JsonValue& value, const char* keyword,
                                 const std::string& place) const {
    std::vector<std::string> list;
    bool all_texts = value.is(Kind::array);
    for (const JsonValue& item : value.items) {
      all_texts = all_texts && item.is(Kind::text);
      list.push_back(item.text);
    }
    if (!all_texts)
      throw fault(place, std::string("has \"") + keyword + "\", which is no list of texts");
    return list;
  }

  bool flag(const JsonValue& value, const std::string& place) const {
    if (value.is(Kind::boolean)) return value.flag;
    throw fault(place, "has \"additionalProperties\", which is neither true nor false");
  }

  std::vector<JsonValue> values(const JsonValue& value, const std::string& place) const {
    if (value.is(Kind::array) && !value.items.empty()) return value.items;
    throw fault(place, "has \"enum\", which lists no value");
  }

  std::string decimal(const JsonMember& rule, const std::string& place) const {
    if (rule.value.is(Kind::number)) return rule.value.text;
    throw fault(place, "has \"" + rule.name + "\", which is no number");
  }

  std::size_t count(const JsonMember& rule, const std::string& place) const {
    const double number = rule.value.is(Kind::number) ? to_double(rule.value.text) : -1;
    if (number >= 0 && number <= static_cast<double>(kMostCount) && std::floor(number) == number)
      return static_cast<std::size_t>(number);
    throw fault(place, "has \"" + rule.name + "\", which is no whole number from 0 to " +
                           std::to_string(kMostCount));
  }

  const std::string& step_;
};

using Fault = std::optional<std::string>;

std::string at(const std::string& place) {
  return place.empty() ? "The answer" : "\"" + place + "\"";
}

std::string listed(const std::vector<JsonValue>& values) {
  std::string list;
  for (const JsonValue& value : values)
    list += (list.empty() ? "" : ", ") + clipped(value.str(), kMostNameShown);
  return clipped(list, 512);
}

Fault fault_of(const Node& node, const JsonValue& value, const std::string& place);

Fault type_fault(const Node& node, const JsonValue& value, const std::string& place) {
  if (node.types.empty() || std::any_of(node.types.begin(), node.types.end(),
                                        [&](const auto& type) { return is_of_type(value, type); }))
    return std::nullopt;
  std::string wanted;
  for (const std::string& type : node.types)
    wanted += (wanted.empty() ? "" : " or ") + type;
  return at(place) + " is " + std::string(type_of(value)) + ", not " + wanted + ".";
}

Fault count_fault(std::size_t count, std::size_t least, std::size_t most, const char* unit,
                  const std::string& place) {
  const std::string has = at(place) + " has " + std::to_string(count) + " " + unit;
  if (count < least) return has + ", fewer than " + std::to_string(least) + ".";
  if (count > most) return has + ", more than " + std::to_string(most) + ".";
  return std::nullopt;
}

Fault number_fault(const Node& node, const JsonValue& value, const std::string& place) {
  const double number = to_double(value.text);
  if (node.least && number < to_double(*node.least))
    return at(place) + " is " + clipped(value.text, kMostNameShown) + ", below " + *node.least +
           ".";
  if (node.most && number > to_double(*node.most))
    return at(place) + " is " + clipped(value.text, kMostNameShown) + ", above " + *node.most + ".";
  return std::nullopt;
}

Fault items_fault(const Node& node, const JsonValue& value, const std::string& place) {
  if (Fault fault =
          count_fault(value.items.size(), node.least_items, node.most_items, "items", place))
    return fault;
  for (std::size_t i = 0; node.items && i < value.items.size(); ++i) {
    if (Fault fault = fault_of(*node.items, value.items[i], place + "[" + std::to_string(i) + "]"))
      return fault;
  }
  return std::nullopt;
}

Fault members_fault(const Node& node, const JsonValue& value, const std::string& place) {
  for (const std::string& name : node.required) {
    if (value.find(name) == nullptr)
      return at(place) + " has no \"" + clipped(name, kMostNameShown) + "\".";
  }
  for (const JsonMember& member : value.members) {
    const std::string name = clipped(member.name, kMostNameShown);
    if (value.find(member.name) != &member.value) return at(place) + " has \"" + name + "\" twice.";
    const auto same = [&](const auto& property) { return property.first == member.name; };
    const auto property = std::find_if(node.properties.begin(), node.properties.end(), same);
    if (property == node.properties.end()) {
      if (node.is_closed) return at(place) + " has \"" + name + "\", which is not wanted.";
    } else if (Fault fault = fault_of(property->second, member.value,
                                      place + (place.empty() ? "" : ".") + name)) {
      return fault;
    }
  }
  return std::nullopt;
}

Fault fault_of(const Node& node, const JsonValue& value, const std::string& place) {
  if (Fault fault = type_fault(node, value, place)) return fault;
  if (!node.values.empty() &&
      std::none_of(node.values.begin(), node.values.end(),
                   [&](const JsonValue& allowed) { return equal(value, allowed); }))
    return at(place) + " is " + clipped(value.str(), kMostNameShown) + ", none of " +
           listed(node.values) + ".";
  switch (value.kind) {
  case Kind::text:
    return count_fault(length_of(value.text), node.least_length, node.most_length, "characters",
                       place);
  case Kind::number:
    return number_fault(node, value, place);
  case Kind::array:
    return items_fault(node, value, place);
  case Kind::object:
    return members_fault(node, value, place);
  default:
    return std::nullopt;
  }
}

// Makes the smallest value that shows every member once.
class Maker {
public:
  explicit Maker(std::string_view mark) : mark_(mark) {}

  JsonValue make(const Node& node, const std::string& name) {
    spend(1);
    if (is_too_long() || !node.values.empty())
      return node.values.empty() ? JsonValue() : node.values.front();
    const std::string type = type_for(node);
    JsonValue value;
    if (type == "object")
      make_members(node, value);
    else if (type == "array")
      make_items(node, name, value);
    else if (type == "string")
      make_text(node, name, value);
    else if (type == "boolean")
      value.kind = Kind::boolean;
    else if (type != "null")
      make_number(node, type == "integer", value);
    return value;
  }

  bool is_too_long() const { return spent_ > kMostExample; }

private:
  void spend(std::size_t amount) { spent_ += amount; }

  static std::string type_for(const Node& node) {
    if (!node.types.empty()) return node.types.front();
    if (node.items) return "array";
    if (node.least || node.most) return "number";
    return node.properties.empty() ? "string" : "object";
  }

  void make_members(const Node& node, JsonValue& value) {
    value.kind = Kind::object;
    for (const auto& [name, property] : node.properties)
      value.members.push_back({name, make(property, name)});
    for (const std::string& name : node.required) {
      if (value.find(name) == nullptr) value.members.push_back({name, make(Node(), name)});
    }
  }

  void make_items(const Node& node, const std::string& name, JsonValue& value) {
    value.kind = Kind::array;
    const std::size_t count = std::min(std::max<std::size_t>(node.least_items, 1), node.most_items);
    const std::string outer = std::exchange(number_, "");
    for (std::size_t i = 0; i < count && !is_too_long(); ++i) {
      number_ = " " + std::to_string(i + 1); // so that no two items are the same
      value.items.push_back(make(node.items ? *node.items : Node(), name));
    }
    number_ = outer;
  }

  void make_text(const Node& node, const std::string& name, JsonValue& value) {
    value.kind = Kind::text;
    value.text = std::string(mark_) + " " + clipped(name, kMostNameShown) + number_;
    while (length_of(value.text) < node.least_length)
      value.text += " " + std::string(mark_);
    std::size_t length = length_of(value.text);
    for (; length > node.most_length; --length) { // whole characters
      while (!value.text.empty() &&
             (static_cast<unsigned char>(value.text.back()) & 0xc0U) == 0x80U)
        value.text.pop_back();
      value.text.pop_back();
    }
    spend(value.text.size());
  }

  static void make_number(const Node& node, bool whole, JsonValue& value) {
    value.kind = Kind::number;
    value.text = "0";
    const double least = node.least ? to_double(*node.least) : 0;
    const double most = node.most ? to_double(*node.most) : 0;
    if (node.least && least > 0)
      value.text = whole && !is_whole(*node.least) ? std::to_string(std::llround(std::ceil(least)))
                                                   : *node.least;
    else if (node.most && most < 0)
      value.text = whole && !is_whole(*node.most) ? std::to_string(std::llround(std::floor(most)))
                                                  : *node.most;
  }

  std::string_view mark_;
  std::string number_; // of the item that is being made
  std::size_t spent_ = 0;
};

// Where the object or array that begins here ends; npos when it does not.
std::size_t end_of(std::string_view text, std::size_t begin) {
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

} // namespace

JsonSchema JsonSchema::parse(const JsonValue& schema, const std::string& step) {
  JsonSchema made;
  made.root_ = std::make_shared<const Node>(Reader(step).read(schema, ""));
  made.source_ = schema;
  return made;
}

std::optional<std::string> JsonSchema::fault(const JsonValue& value) const {
  return fault_of(*root_, value, "");
}

std::optional<JsonValue> JsonSchema::example(std::string_view mark) const {
  Maker maker(mark);
  JsonValue value = maker.make(*root_, "answer");
  if (maker.is_too_long()) return std::nullopt;
  return value;
}

std::string JsonSchema::str() const {
  return source_.str();
}

std::vector<JsonValue> json_in(std::string_view answer) {
  if (std::optional<JsonValue> whole = JsonValue::parse(answer)) return {std::move(*whole)};
  constexpr int kMostTries = 200; // each may read to the end
  std::vector<std::pair<std::size_t, JsonValue>> found;
  std::size_t next = answer.find_first_of("{[");
  for (int tries = 0; next != std::string_view::npos && tries < kMostTries; ++tries) {
    const std::size_t end = end_of(answer, next);
    std::optional<JsonValue> value;
    if (end != std::string_view::npos) value = JsonValue::parse(answer.substr(next, end - next));
    if (value) found.emplace_back(end - next, std::move(*value));
    next = answer.find_first_of("{[", value ? end : next + 1);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<JsonValue> values;
  values.reserve(found.size());
  for (auto& [length, value] : found)
    values.push_back(std::move(value));
  return values;
}

} // namespace holdfast
