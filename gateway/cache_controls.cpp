#include "gateway/cache_controls.hpp"

#include "gateway/http_error.hpp"

#include <charconv>
#include <strings.h>

namespace holdfast::gateway {
namespace {

constexpr std::int64_t kLongestTtl = 86400;

HttpError bad_wish(const std::string& field) {
  return {400, "bad_value",
          field + " must be on (or true), off (or false), or a whole number of seconds from 1 to " +
              std::to_string(kLongestTtl) + ".",
          field};
}

void forbid(CacheWish& wish) {
  wish.reads = wish.stores = false;
}

void ask_for(CacheWish& wish, std::int64_t ttl_s, const std::string& field) {
  if (ttl_s < 1 || ttl_s > kLongestTtl) throw bad_wish(field);
  wish.asked = true;
  wish.ttl_s = ttl_s;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

bool is(std::string_view text, std::string_view word) {
  return text.size() == word.size() && strncasecmp(text.data(), word.data(), word.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// As for every cache, what is not known is passed over.
void follow_directive(std::string_view directive, CacheWish& wish) {
  constexpr std::string_view kMaxAge = "max-age=";
  if (is(directive, "no-store") || is(directive, "private")) {
    forbid(wish);
  } else if (is(directive, "no-cache")) {
    wish.reads = false;
  } else if (is(directive.substr(0, kMaxAge.size()), kMaxAge)) {
    const auto seconds = whole_number(directive.substr(kMaxAge.size()));
    if (!seconds || *seconds < 0) return;
    if (*seconds == 0) wish.reads = false;
    if (*seconds < kLongestTtl) wish.max_age_s = *seconds;
  }
}

} // namespace

CacheWish read_cache_wish(const httplib::Request& request) {
  CacheWish wish;
  if (request.has_header("X-Holdfast-Cache")) {
    const std::string text = request.get_header_value("X-Holdfast-Cache");
    if (is(text, "off"))
      forbid(wish);
    else if (is(text, "on"))
      wish.asked = true;
    else
      ask_for(wish, whole_number(text).value_or(0), "X-Holdfast-Cache");
  }
  const std::string control = request.get_header_value("Cache-Control");
  std::string_view rest = control;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    follow_directive(trimmed(rest.substr(0, comma)), wish);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return wish;
}

void read_cache_members(const nlohmann::json& body, CacheWish& wish) {
  const auto member = [&](const char* name) {
    const auto found = body.find(name);
    return found == body.end() ? nlohmann::json() : *found;
  };
  const nlohmann::json cache = member("cache");
  if (cache.is_boolean() && !cache.get<bool>())
    forbid(wish);
  else if (cache.is_boolean())
    wish.asked = true;
  else if (cache.is_number_integer())
    ask_for(wish, cache.get<std::int64_t>(), "cache");
  else if (!cache.is_null())
    throw bad_wish("cache");
  const nlohmann::json is_private = member("private");
  if (!is_private.is_null() && !is_private.is_boolean())
    throw HttpError(400, "bad_value", "The field private must be true or false.", "private");
  if (is_private.is_boolean() && is_private.get<bool>()) forbid(wish);
}

} // namespace holdfast::gateway
