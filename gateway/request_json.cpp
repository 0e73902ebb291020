#include "gateway/request_json.hpp"

#include "extension/core/input_text.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/http_error.hpp"

namespace holdfast::gateway {
namespace {

HttpError bad_value(const std::string& name, const std::string& wanted) {
  return {400, "bad_value", "The field " + name + " must be " + wanted + ".", name};
}

// The path of the first string with a NUL in it, as in `messages[0].content`. Recursion is as deep
// as the document, which is bounded.
std::optional<std::string> find_nul(const nlohmann::json& value, const std::string& path) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text.find('\0') == std::string::npos ? std::nullopt : std::optional(path);
  }
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (auto found = find_nul(value[i], path + "[" + std::to_string(i) + "]")) return found;
    }
  }
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      const std::string inner = path.empty() ? name : path + "." + name;
      if (name.find('\0') != std::string::npos) return path.empty() ? "a member's name" : path;
      if (auto found = find_nul(member, inner)) return found;
    }
  }
  return std::nullopt;
}

// Members that hold prompts: NUL is taken out of their texts later (normalize_prompt()).
bool holds_prompt(const std::string& member) {
  return member == "prompt" || member == "systemPrompt" || member == "messages" ||
         member == "system";
}

bool is_nested_too_deeply(std::string_view body) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

} // namespace

nlohmann::json parse_request_object(std::string_view body) {
  if (!is_utf8(body)) {
    throw HttpError(400, "invalid_utf8", "The body is not valid UTF-8. Encode it as UTF-8.");
  }
  if (is_nested_too_deeply(body)) {
    throw HttpError(400, "json_too_deep",
                    "The body is nested more than " + std::to_string(kMaxJsonDepth) +
                        " levels deep. Send it flatter.");
  }
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(body);
  } catch (const nlohmann::json::parse_error& error) {
    throw HttpError(400, "malformed_json",
                    "The body is not JSON: it breaks at byte " + std::to_string(error.byte) + ".");
  } catch (const nlohmann::json::out_of_range&) {
    throw HttpError(400, "malformed_json", "The body has a number that is out of range.");
  }
  if (!object.is_object()) {
    throw HttpError(400, "malformed_json", "The body must be a JSON object.");
  }
  // In JSON it can only be written so.
  if (body.find("\\u0000") == std::string_view::npos) return object;
  for (const auto& [name, member] : object.items()) {
    auto path = find_nul(nlohmann::json(name), "a member's name");
    if (!path && !holds_prompt(name)) path = find_nul(member, name);
    if (path)
      throw HttpError(400, "nul_in_text",
                      "The text of " + *path + " has a NUL character in it. Remove it.", *path);
  }
  return object;
}

std::optional<std::string> optional_text(const nlohmann::json& object, const std::string& name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) throw bad_value(name, "a string");
  return found->get<std::string>();
}

std::optional<double> optional_number(const nlohmann::json& object, const std::string& name,
                                      double least, double most) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  const double value = found->is_number() ? found->get<double>() : least - 1;
  if (!(value >= least && value <= most)) {
    throw bad_value(name, "a number from " + nlohmann::json(least).dump() + " to " +
                              nlohmann::json(most).dump());
  }
  return value;
}

std::optional<std::int64_t> optional_integer(const nlohmann::json& object, const std::string& name,
                                             std::int64_t least, std::int64_t most) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  const bool fits = found->is_number_integer() &&
                    !(found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX);
  const std::int64_t value = fits ? found->get<std::int64_t>() : least - 1;
  if (value < least || value > most) {
    throw bad_value(name,
                    "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return value;
}

} // namespace holdfast::gateway
