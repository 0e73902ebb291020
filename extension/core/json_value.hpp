#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

struct JsonMember;

// One JSON value. Numbers keep their decimal text, so that no figure passes through a float.
struct JsonValue {
  enum class Kind { null, boolean, number, text, array, object };

  Kind kind = Kind::null;
  bool flag = false;
  std::string text; // of a text, or a number's decimal
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;

  // Strict JSON (RFC 8259), nested at most kMostDepth deep; nullopt for anything else.
  static std::optional<JsonValue> parse(std::string_view json);
  static constexpr int kMostDepth = 64;

  bool is(Kind other) const { return kind == other; }
  // A member of an object, nullptr when absent.
  const JsonValue* find(std::string_view name) const;
  // As JSON, without spaces.
  std::string str() const;
  // As a reader wants it: a text without its quotes, null as nothing, all else as JSON.
  std::string plain() const;
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

// The value at a dotted path: members by name, elements by their number from 0. nullptr when there
// is none; an empty path is the value itself.
const JsonValue* at_path(const JsonValue& value, std::string_view path);

} // namespace holdfast
