#include "gateway/providers/provider_error.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace holdfast::provider {

namespace {

constexpr std::size_t kMaxMessageBytes = 1000;
constexpr std::size_t kMaxExcerptBytes = 200;
constexpr std::size_t kMinSecretBytes = 8;
constexpr std::size_t kMinKeyBytes = 8;
constexpr std::string_view kCut = "[redacted]";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_key_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
         c == '*';
}

bool looks_like_key(std::string_view word) {
  if (word.find("***") != std::string_view::npos) return true;
  if (word.size() < kMinKeyBytes) return false;
  constexpr std::array<std::string_view, 8> kPrefixes = {"sk-",  "pk-", "gsk_", "pplx-",
                                                         "AIza", "hf_", "xai-", "tgp_"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) {
    return word.substr(0, prefix.size()) == prefix;
  });
}

bool is_word_char(char c) {
  return is_key_char(c) || c == '.' || c == '/' || c == '+' || c == '=' || (c & 0x80) != 0;
}

// At most `max_bytes` of the beginning. A word at the cut goes as a whole, for half a key is not
// known as one; one that is too long for a key is cut between two UTF-8 characters.
std::string_view beginning_of(std::string_view text, std::size_t max_bytes) {
  constexpr std::size_t kLongestKeyBytes = 256;
  if (text.size() <= max_bytes || !is_word_char(text[max_bytes])) return text.substr(0, max_bytes);
  std::size_t end = max_bytes;
  while (end > 0 && max_bytes - end < kLongestKeyBytes && is_word_char(text[end - 1]))
    --end;
  if (max_bytes - end < kLongestKeyBytes) return text.substr(0, end);
  end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end);
}

} // namespace

ErrorClass classify_status(int status) {
  switch (status) {
  case 401:
  case 403:
    return ErrorClass::auth;
  case 402:
    return ErrorClass::quota_exhausted;
  case 408:
  case 504:
    return ErrorClass::timeout;
  case 409:
  case 503:
  case 529:
    return ErrorClass::overloaded;
  case 429:
    return ErrorClass::rate_limit;
  default:
    return status >= 400 && status < 500 ? ErrorClass::invalid_request : ErrorClass::server;
  }
}

std::string cut_keys(std::string_view text) {
  std::string cleaned;
  cleaned.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = 0;
    while (length < text.size() && is_key_char(text[length]))
      ++length;
    const std::string_view word = text.substr(0, length);
    cleaned.append(looks_like_key(word) ? kCut : word);
    text.remove_prefix(length);
    if (text.empty()) break;
    cleaned.push_back(text.front());
    text.remove_prefix(1);
  }
  return cleaned;
}

std::string cut_secret(std::string text, const std::string& secret) {
  if (secret.size() < kMinSecretBytes) return text;
  for (std::size_t at = text.find(secret); at != std::string::npos;
       at = text.find(secret, at + kCut.size()))
    text.replace(at, secret.size(), kCut);
  return text;
}

std::string clean_message(std::string_view text) {
  const std::string cleaned = cut_keys(beginning_of(text, 2 * kMaxMessageBytes));
  return std::string(beginning_of(cleaned, kMaxMessageBytes));
}

std::string unreadable_body_message(const HttpAnswer& answer) {
  std::string message =
      "The provider answered with status " + std::to_string(answer.status) + " and ";
  if (answer.body.empty()) return message + "no body.";
  std::string excerpt = cut_keys(beginning_of(answer.body, kMaxExcerptBytes));
  for (char& c : excerpt)
    if (c < 0x20 || c > 0x7E) c = ' ';
  return message + "a body that is not its JSON: " + excerpt;
}

} // namespace holdfast::provider
