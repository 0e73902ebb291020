// API keys: `hf_<organization, 32 hex digits>_<43 characters of base64url>`, or signed tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::gateway {

// What the gateway keeps of a key: its organization (UUID with dashes) and the 32 bytes of the
// SHA-256 of its whole text. The text itself is not kept.
struct ApiKey {
  std::string organization_id;
  std::string hash;
};

// Reads a key; nothing when it does not have the form of one. Of a token, the organization is what
// it claims.
std::optional<ApiKey> parse_api_key(std::string_view text);

// The text after `Bearer` in an Authorization header; empty when there is none.
std::string_view bearer_of(std::string_view header);

// Reads the key of an Authorization header, `Bearer <key>`; nothing when there is none.
std::optional<ApiKey> parse_authorization(std::string_view header);

} // namespace holdfast::gateway
