#include "gateway/database_text.hpp"

#include "gateway/ids.hpp"

#include <algorithm>
#include <limits>

namespace holdfast::gateway {

std::string bytea_text(const std::string& bytes) {
  return "\\x" + to_hex(bytes);
}

namespace {

void add_item(std::string& literal, const std::string& item) {
  if (literal.size() > 1) literal += ',';
  literal += '"';
  for (const char c : item) {
    if (c == '"' || c == '\\') literal += '\\';
    literal += c;
  }
  literal += '"';
}

} // namespace

std::string array_text(const std::vector<std::string>& items) {
  std::string literal = "{";
  for (const std::string& item : items)
    add_item(literal, item);
  return literal + "}";
}

std::string array_text(const std::vector<std::optional<std::string>>& items) {
  std::string literal = "{";
  for (const auto& item : items) {
    if (item)
      add_item(literal, *item);
    else
      literal += literal.size() > 1 ? ",NULL" : "NULL";
  }
  return literal + "}";
}

std::string interval_text(std::int64_t ms) {
  return std::to_string(ms) + " milliseconds";
}

std::string tokens_text(std::int64_t count) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  return std::to_string(std::clamp<std::int64_t>(count, 0, kMost));
}

} // namespace holdfast::gateway
