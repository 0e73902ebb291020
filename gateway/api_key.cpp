#include "gateway/api_key.hpp"

#include "gateway/ids.hpp"
#include "gateway/token.hpp"

#include <algorithm>
#include <strings.h>

namespace holdfast::gateway {
namespace {

constexpr std::string_view kPrefix = "hf_";
constexpr std::size_t kOrganizationLength = 32;
constexpr std::size_t kSecretLength = 43;

bool is_base64url(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

} // namespace

std::optional<ApiKey> parse_api_key(std::string_view text) {
  if (is_token(text)) {
    // Believed only as far as the database knows the token, which takes a good signature.
    const auto named = organization_of_token(text);
    return named ? std::optional(ApiKey{*named, sha256(text)}) : std::nullopt;
  }
  if (text.size() != kPrefix.size() + kOrganizationLength + 1 + kSecretLength ||
      text.substr(0, kPrefix.size()) != kPrefix) {
    return std::nullopt;
  }
  const auto organization = canonical_uuid(text.substr(kPrefix.size(), kOrganizationLength));
  const auto rest = text.substr(kPrefix.size() + kOrganizationLength);
  if (!organization || rest[0] != '_' || !std::all_of(rest.begin() + 1, rest.end(), is_base64url)) {
    return std::nullopt;
  }
  return ApiKey{*organization, sha256(text)};
}

std::string_view bearer_of(std::string_view header) {
  constexpr std::string_view kScheme = "Bearer ";
  if (header.size() < kScheme.size() ||
      strncasecmp(header.data(), kScheme.data(), kScheme.size()) != 0) {
    return {};
  }
  header.remove_prefix(kScheme.size());
  while (!header.empty() && header.front() == ' ')
    header.remove_prefix(1);
  while (!header.empty() && header.back() == ' ')
    header.remove_suffix(1);
  return header;
}

std::optional<ApiKey> parse_authorization(std::string_view header) {
  return parse_api_key(bearer_of(header));
}

} // namespace holdfast::gateway
