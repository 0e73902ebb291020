#include "gateway/json_read.hpp"

namespace holdfast::json_read {

namespace {

using nlohmann::json;

constexpr int kMaxIndex = 1000;

} // namespace

const json& member(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string text(const json& object, const char* name) {
  const json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<std::int64_t> whole_number(const json& value, std::int64_t max) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(max))
    return std::nullopt;
  const std::int64_t number = value.get<std::int64_t>();
  if (number < 0 || number > max) return std::nullopt;
  return number;
}

int index(const json& object, const char* name) {
  return static_cast<int>(whole_number(member(object, name), kMaxIndex).value_or(0));
}

std::int64_t token_count(const json& object, const char* name) {
  return whole_number(member(object, name), kMaxTokenCount).value_or(0);
}

} // namespace holdfast::json_read
