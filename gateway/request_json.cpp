#include "gateway/request_json.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/http_error.hpp"

#include <array>

namespace holdfast::gateway {
namespace {

HttpError bad_value(const std::string& name, const std::string& wanted) {
  return {400, "bad_value", "The field " + name + " must be " + wanted + ".", name};
}

// How many bytes follow a lead byte, and the range of the first of them.
struct Lead {
  int followers;
  unsigned char least;
  unsigned char most;
};

std::optional<Lead> utf8_lead(unsigned char byte) {
  if (byte < 0x80) return Lead{0, 0, 0};
  if (byte >= 0xc2 && byte <= 0xdf) return Lead{1, 0x80, 0xbf};
  if (byte == 0xe0) return Lead{2, 0xa0, 0xbf};
  if (byte == 0xed) return Lead{2, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return Lead{2, 0x80, 0xbf};
  if (byte == 0xf0) return Lead{3, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return Lead{3, 0x80, 0xbf};
  if (byte == 0xf4) return Lead{3, 0x80, 0x8f};
  return std::nullopt;
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

bool is_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const auto lead = utf8_lead(static_cast<unsigned char>(bytes[i++]));
    if (!lead || bytes.size() - i < static_cast<std::size_t>(lead->followers)) return false;
    for (int k = 0; k < lead->followers; ++k, ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      const unsigned char least = k == 0 ? lead->least : 0x80;
      const unsigned char most = k == 0 ? lead->most : 0xbf;
      if (byte < least || byte > most) return false;
    }
  }
  return true;
}

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
  if (const auto path = find_nul(object, "")) {
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
