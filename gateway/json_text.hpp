// JSON text put together by hand, for what must not pass through a double: money.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::gateway {

// A member of an object: its name, and its value as JSON text.
using RawMember = std::pair<std::string, std::string>;

// True for text that is a JSON number as it stands, as PostgreSQL writes a finite numeric.
bool is_json_number(std::string_view text);

// The decimal itself, or `null` when there is none or it is no JSON number (NaN, Infinity).
std::string decimal_json(const std::optional<std::string>& decimal);

// Writes one object, members in the order they are added. Names must not repeat.
class ObjectText {
public:
  ObjectText& add(std::string_view name, const nlohmann::json& value);
  ObjectText& add_raw(std::string_view name, std::string_view json_text);
  ObjectText& add_decimal(std::string_view name, const std::optional<std::string>& decimal);
  std::string text() const;

private:
  std::string members_;
};

// The object's text with one more member at its end. `object_text` must be an object.
std::string with_member(std::string_view object_text, std::string_view name,
                        std::string_view json_text);

// The members of an object, their values exactly as written. Nothing when it is no object.
std::optional<std::vector<RawMember>> object_members(std::string_view object_text);

} // namespace holdfast::gateway
