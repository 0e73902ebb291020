#include "gateway/openai_fields.hpp"

#include "gateway/bounded_json.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxIdentifierBytes = 64;
constexpr std::size_t kMaxQuotedBytes = 40;

[[noreturn]] void refuse(const std::string& param, std::string message, std::string code) {
  throw Refusal{{param, std::move(message), std::move(code)}};
}

std::string quoted(const std::string& param) {
  return "`" + param + "`";
}

// What the client sent, short: a number as it is, anything else by its type.
std::string shown(const json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return dump_json(value);
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

// A number of JSON without the tail that std::to_string adds.
std::string shown(double number) {
  return dump_json(json(number));
}

std::string range(const std::string& min, const std::string& max) {
  return "from " + min + " to " + max;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

bool is_identifier_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

} // namespace

void refuse_missing(const std::string& param) {
  refuse(param, quoted(param) + " is required.", "missing_required_parameter");
}

void refuse_type(const std::string& param, std::string_view expected, const json& value) {
  refuse(param, quoted(param) + " must be " + std::string(expected) + ", not " + shown(value) + ".",
         "invalid_type");
}

void refuse_value(const std::string& param, const std::string& message) {
  refuse(param, quoted(param) + " " + message, "invalid_value");
}

void refuse_unsupported(const std::string& param, const std::string& message) {
  refuse(param, quoted(param) + " " + message, "unsupported_parameter");
}

const json& optional_member(const json& object, const char* name) {
  static const json null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

const json& required_member(const json& object, const char* name, const std::string& path) {
  const json& value = optional_member(object, name);
  if (value.is_null()) refuse_missing(join_path(path, name));
  return value;
}

std::string join_path(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

std::string join_path(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

void require_object(const json& value, const std::string& param) {
  if (!value.is_object()) refuse_type(param, "an object", value);
}

void require_array(const json& value, const std::string& param, std::size_t min_size,
                   std::size_t max_size) {
  if (!value.is_array()) refuse_type(param, "an array", value);
  if (value.size() >= min_size && value.size() <= max_size) return;
  refuse_value(param, "must have " + range(std::to_string(min_size), std::to_string(max_size)) +
                          " elements, not " + std::to_string(value.size()) + ".");
}

bool read_bool(const json& value, const std::string& param) {
  if (!value.is_boolean()) refuse_type(param, "true or false", value);
  return value.get<bool>();
}

std::int64_t read_integer(const json& value, const std::string& param, std::int64_t min,
                          std::int64_t max) {
  const std::string allowed = range(std::to_string(min), std::to_string(max));
  if (!value.is_number()) refuse_type(param, "an integer " + allowed, value);
  const bool too_large = value.is_number_unsigned() &&
                         value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  if (!value.is_number_integer() || too_large || value.get<std::int64_t>() < min ||
      value.get<std::int64_t>() > max)
    refuse_value(param, "must be an integer " + allowed + ", not " + shown(value) + ".");
  return value.get<std::int64_t>();
}

double read_number(const json& value, const std::string& param, double min, double max) {
  const std::string allowed = range(shown(min), shown(max));
  if (!value.is_number()) refuse_type(param, "a number " + allowed, value);
  const double number = value.get<double>();
  if (!std::isfinite(number) || number < min || number > max)
    refuse_value(param, "must be a number " + allowed + ", not " + shown(value) + ".");
  return number;
}

std::string read_text(const json& value, const std::string& param) {
  if (!value.is_string()) refuse_type(param, "a string", value);
  std::string text = value.get<std::string>();
  text.erase(std::remove(text.begin(), text.end(), '\0'), text.end());
  return text;
}

std::string read_label(const json& value, const std::string& param, std::size_t max_bytes) {
  if (!value.is_string()) refuse_type(param, "a string", value);
  std::string label = value.get<std::string>();
  if (label.empty() || label.size() > max_bytes)
    refuse_value(param, "must have " + range("1", std::to_string(max_bytes)) + " bytes, not " +
                            std::to_string(label.size()) + ".");
  if (std::any_of(label.begin(), label.end(), is_control))
    refuse_value(param, "must not contain control characters.");
  return label;
}

std::string read_identifier(const json& value, const std::string& param) {
  std::string name = read_label(value, param, kMaxIdentifierBytes);
  if (!std::all_of(name.begin(), name.end(), is_identifier_char))
    refuse_value(param, "may only contain a-z, A-Z, 0-9, underscore and dash.");
  return name;
}

std::string read_word(const json& value, const std::string& param,
                      std::initializer_list<std::string_view> words) {
  std::string list;
  for (const std::string_view word : words)
    list.append(list.empty() ? "" : ", ").append(word);
  if (!value.is_string()) refuse_type(param, "one of " + list, value);
  std::string word = value.get<std::string>();
  if (std::find(words.begin(), words.end(), word) != words.end()) return word;
  const bool quotable =
      word.size() <= kMaxQuotedBytes && std::none_of(word.begin(), word.end(), is_control);
  refuse_value(param, "must be one of " + list + (quotable ? ", not '" + word + "'." : "."));
}

} // namespace holdfast::openai_format
