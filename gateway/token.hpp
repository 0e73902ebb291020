// Tokens that an operator's identity provider signed: JWTs (RFC 7519), as PostgREST and Supabase
// take them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct _cjose_jwk_int;

namespace holdfast::gateway {

// Whom a token speaks for: its claims `organization_id`, `sub`, `holdfast_role` (member without)
// and `exp` (seconds since 1970).
struct TokenClaims {
  std::string organization_id;
  std::string user_id;
  std::string role;
  std::int64_t expires_at_s = 0;
};

// What is wrong with a token or a key, as a sentence that shows neither.
struct TokenFault {
  std::string what;
};

// Whether the text has the form of a token: three parts, as a signed one has.
bool is_token(std::string_view text);

// The organization that the token names, signed or not; nothing when it names none.
std::optional<std::string> organization_of_token(std::string_view token);

struct TokenSettings {
  std::string secret;    // for HS256
  std::string keys_path; // a JWKS file (RFC 7517), for RS256 and ES256
  std::string audience;  // what `aud` must be or hold
  std::string issuer;    // what `iss` must be, "" for any
};

// Checks tokens against the keys of one configuration. Safe to use from many threads.
class TokenVerifier {
public:
  static std::variant<std::shared_ptr<const TokenVerifier>, TokenFault>
  make(const TokenSettings& settings);

  std::variant<TokenClaims, TokenFault> verify(std::string_view token, std::int64_t now_s) const;

private:
  using Key = std::shared_ptr<_cjose_jwk_int>;

  explicit TokenVerifier(const TokenSettings& settings) : settings_(settings) {}
  std::optional<TokenFault> read_keys(const std::string& text);
  bool is_signed(const std::string& token) const;

  TokenSettings settings_;
  Key secret_;
  std::vector<Key> keys_;
};

} // namespace holdfast::gateway
