// Reading a request's JSON body strictly: every refusal is an HttpError of status 400.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::gateway {

// The body as an object: valid UTF-8, not nested too deeply, and no string of it has a NUL but
// those of prompts.
nlohmann::json parse_request_object(std::string_view body);

// Members by type; nothing when absent or null.
std::optional<std::string> optional_text(const nlohmann::json& object, const std::string& name);
std::optional<double> optional_number(const nlohmann::json& object, const std::string& name,
                                      double least, double most);
std::optional<std::int64_t> optional_integer(const nlohmann::json& object, const std::string& name,
                                             std::int64_t least, std::int64_t most);

} // namespace holdfast::gateway
