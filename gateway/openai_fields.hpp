// Strict readers for the members of a client's JSON, each with its error. Internal to the parsing
// of requests.
#pragma once

#include "gateway/openai_format.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace holdfast::openai_format {

// Thrown inside the parser, caught at its boundary.
struct Refusal {
  RequestError error;
};

[[noreturn]] void refuse_missing(const std::string& param);
[[noreturn]] void refuse_type(const std::string& param, std::string_view expected,
                              const nlohmann::json& value);
[[noreturn]] void refuse_value(const std::string& param, const std::string& message);
[[noreturn]] void refuse_unsupported(const std::string& param, const std::string& message);

// The member; null when it is absent, as most clients send null for "not given".
const nlohmann::json& optional_member(const nlohmann::json& object, const char* name);

// The member; refused when absent or null. `path` is the object's own, "" for the body.
const nlohmann::json& required_member(const nlohmann::json& object, const char* name,
                                      const std::string& path);

// The path of a member or an element.
std::string join_path(const std::string& path, std::string_view name);
std::string join_path(const std::string& path, std::size_t index);

// Each refuses a value of another type, or out of bounds.
void require_object(const nlohmann::json& value, const std::string& param);
void require_array(const nlohmann::json& value, const std::string& param, std::size_t min_size,
                   std::size_t max_size);
bool read_bool(const nlohmann::json& value, const std::string& param);
std::int64_t read_integer(const nlohmann::json& value, const std::string& param, std::int64_t min,
                          std::int64_t max);
double read_number(const nlohmann::json& value, const std::string& param, double min, double max);

// Any text; NUL is removed, since neither PostgreSQL nor a prompt has a use for it.
std::string read_text(const nlohmann::json& value, const std::string& param);

// A name or id: 1 to `max_bytes`, no control characters.
std::string read_label(const nlohmann::json& value, const std::string& param,
                       std::size_t max_bytes);

// A function's or schema's name: 1 to 64 of a-z, A-Z, 0-9, underscore, dash.
std::string read_identifier(const nlohmann::json& value, const std::string& param);

// One of the words.
std::string read_word(const nlohmann::json& value, const std::string& param,
                      std::initializer_list<std::string_view> words);

} // namespace holdfast::openai_format
