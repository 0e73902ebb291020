#include "gateway/json_text.hpp"

#include "gateway/bounded_json.hpp"

#include <stdexcept>

namespace holdfast::gateway {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && is_digit(text[at]))
    ++at;
  return at;
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at]))
    ++at;
  return at;
}

// The end of the string that begins at `at`, past its closing quote.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return text.size();
}

// The end of the value that begins at `at`, in text that is known to be JSON.
std::size_t value_end(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}' || c == ']')) return at;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++at;
  }
  return at;
}

} // namespace

bool is_json_number(std::string_view text) {
  std::size_t at = 0;
  if (at < text.size() && text[at] == '-') ++at;
  const std::size_t whole = at;
  at = skip_digits(text, at);
  if (at == whole || (text[whole] == '0' && at > whole + 1)) return false;
  if (at < text.size() && text[at] == '.') {
    const std::size_t fraction = ++at;
    at = skip_digits(text, at);
    if (at == fraction) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = at;
    at = skip_digits(text, at);
    if (at == exponent) return false;
  }
  return at == text.size();
}

std::string decimal_json(const std::optional<std::string>& decimal) {
  return decimal && is_json_number(*decimal) ? *decimal : "null";
}

ObjectText& ObjectText::add(std::string_view name, const nlohmann::json& value) {
  return add_raw(name, dump_json(value));
}

ObjectText& ObjectText::add_raw(std::string_view name, std::string_view json_text) {
  if (!members_.empty()) members_ += ',';
  members_ += dump_json(nlohmann::json(name));
  members_ += ':';
  members_ += json_text;
  return *this;
}

ObjectText& ObjectText::add_decimal(std::string_view name,
                                    const std::optional<std::string>& decimal) {
  return add_raw(name, decimal_json(decimal));
}

std::string ObjectText::text() const {
  return "{" + members_ + "}";
}

std::string with_member(std::string_view object_text, std::string_view name,
                        std::string_view json_text) {
  const std::size_t open = object_text.find('{');
  const std::size_t close = object_text.rfind('}');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    throw std::invalid_argument("with_member: not an object");
  }
  const bool empty = skip_spaces(object_text, open + 1) == close;
  std::string text(object_text.substr(0, close));
  if (!empty) text += ',';
  text += dump_json(nlohmann::json(name));
  text += ':';
  text += json_text;
  text += '}';
  return text;
}

std::optional<std::vector<RawMember>> object_members(std::string_view object_text) {
  const auto document = parse_bounded_json(object_text);
  if (!document || !document->is_object()) return std::nullopt;
  std::vector<RawMember> members;
  std::size_t at = skip_spaces(object_text, 0) + 1;
  for (at = skip_spaces(object_text, at); at < object_text.size() && object_text[at] == '"';
       at = skip_spaces(object_text, at + 1)) {
    const std::size_t name_end = string_end(object_text, at);
    auto name = nlohmann::json::parse(object_text.substr(at, name_end - at)).get<std::string>();
    const std::size_t colon = skip_spaces(object_text, name_end);
    const std::size_t begin = skip_spaces(object_text, colon + 1);
    const std::size_t past = value_end(object_text, begin);
    std::size_t last = past;
    while (last > begin && is_space(object_text[last - 1]))
      --last;
    members.emplace_back(std::move(name), std::string(object_text.substr(begin, last - begin)));
    at = past;
  }
  return members;
}

} // namespace holdfast::gateway
