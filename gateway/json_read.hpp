// Reading JSON of any shape: what is missing or of another type reads as nothing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace holdfast::json_read {

// No call has more tokens; a count above is nonsense.
inline constexpr std::int64_t kMaxTokenCount = 2000000000;

// The member of an object; null when there is none. Lives as long as the object.
const nlohmann::json& member(const nlohmann::json& object, const char* name);

// The member's text, "" when it is no string.
std::string text(const nlohmann::json& object, const char* name);

// A whole number from 0 to `max`.
std::optional<std::int64_t> whole_number(const nlohmann::json& value, std::int64_t max);

// The member `name` as a small index, 0 when it is none.
int index(const nlohmann::json& object, const char* name = "index");

// The member as a count of tokens, 0 when there is none that makes sense.
std::int64_t token_count(const nlohmann::json& object, const char* name);

} // namespace holdfast::json_read
