#include "gateway/token.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/ids.hpp"
#include "gateway/json_read.hpp"

#include <algorithm>
#include <cjose/cjose.h>
#include <fstream>
#include <sstream>

namespace holdfast::gateway {
namespace {

using json_read::member;

constexpr std::size_t kLongestToken = 8192;
constexpr std::size_t kMostKeys = 32;
constexpr std::size_t kShortestSecret = 32; // as many bytes as HS256's digest (RFC 7518, 3.2)
constexpr std::size_t kLongestUser = 255;
constexpr std::int64_t kLeewayS = 30; // by which the issuer's clock may be ahead

struct ReleaseJws {
  void operator()(cjose_jws_t* jws) const { cjose_jws_release(jws); }
};
using Jws = std::unique_ptr<cjose_jws_t, ReleaseJws>;

std::shared_ptr<cjose_jwk_t> owned(cjose_jwk_t* key) {
  return {key, [](cjose_jwk_t* held) {
            if (held != nullptr) cjose_jwk_release(held);
          }};
}

// The token's middle part, unverified.
std::optional<nlohmann::json> payload_of(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::string_view part = token.substr(first + 1, token.rfind('.') - first - 1);
  std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  const std::string text(part);
  if (!cjose_base64url_decode(text.data(), text.size(), &bytes, &size, nullptr))
    return std::nullopt;
  const std::unique_ptr<std::uint8_t, void (*)(void*)> held(bytes, cjose_get_dealloc());
  const std::string decoded(bytes, bytes + size);
  auto payload = parse_bounded_json(decoded);
  if (!payload || !payload->is_object()) return std::nullopt;
  return payload;
}

bool holds(const nlohmann::json& audiences, const std::string& wanted) {
  if (audiences.is_string()) return audiences == wanted;
  return audiences.is_array() &&
         std::any_of(audiences.begin(), audiences.end(),
                     [&](const nlohmann::json& one) { return one == wanted; });
}

std::optional<std::int64_t> seconds(const nlohmann::json& claim) {
  if (!claim.is_number() || claim.get<double>() < 0 || claim.get<double>() > 1e12)
    return std::nullopt;
  return static_cast<std::int64_t>(claim.get<double>());
}

std::optional<TokenFault> time_fault(const nlohmann::json& claims, std::int64_t now_s) {
  const auto expires = seconds(member(claims, "exp"));
  if (!expires) return TokenFault{"The token has no time of expiry (exp)."};
  if (*expires <= now_s) return TokenFault{"The token has expired."};
  const auto begins = seconds(member(claims, "nbf"));
  if (begins && *begins - kLeewayS > now_s) return TokenFault{"The token is not valid yet (nbf)."};
  return std::nullopt;
}

bool is_role(const std::string& role) {
  return role == "owner" || role == "admin" || role == "member" || role == "guest";
}

// What a verified token says of its bearer.
std::variant<TokenClaims, TokenFault> read_claims(const nlohmann::json& claims) {
  TokenClaims read;
  const auto organization = canonical_uuid(json_read::text(claims, "organization_id"));
  if (!organization)
    return TokenFault{"The token names no organization: its claim organization_id is no UUID."};
  read.organization_id = *organization;
  read.user_id = json_read::text(claims, "sub");
  if (read.user_id.empty() || read.user_id.size() > kLongestUser ||
      read.user_id.find('\0') != std::string::npos)
    return TokenFault{"The token names no user: its claim sub must have 1 to 255 bytes."};
  const nlohmann::json& role = member(claims, "holdfast_role");
  read.role = role.is_null() ? "member" : json_read::text(claims, "holdfast_role");
  if (!is_role(read.role))
    return TokenFault{"The token's claim holdfast_role is none of owner, admin, member, guest."};
  read.expires_at_s = seconds(member(claims, "exp")).value_or(0);
  return read;
}

} // namespace

bool is_token(std::string_view text) {
  return text.size() <= kLongestToken && text.rfind("eyJ", 0) == 0 &&
         std::count(text.begin(), text.end(), '.') == 2;
}

std::optional<std::string> organization_of_token(std::string_view token) {
  const auto payload = payload_of(token);
  if (!payload) return std::nullopt;
  return canonical_uuid(json_read::text(*payload, "organization_id"));
}

std::variant<std::shared_ptr<const TokenVerifier>, TokenFault>
TokenVerifier::make(const TokenSettings& settings) {
  std::shared_ptr<TokenVerifier> verifier(new TokenVerifier(settings));
  if (!settings.secret.empty()) {
    if (settings.secret.size() < kShortestSecret)
      return TokenFault{"HOLDFAST_JWT_SECRET must have at least 32 bytes"};
    const std::vector<std::uint8_t> bytes(settings.secret.begin(), settings.secret.end());
    verifier->secret_ = owned(cjose_jwk_create_oct_spec(bytes.data(), bytes.size(), nullptr));
    if (!verifier->secret_) return TokenFault{"HOLDFAST_JWT_SECRET cannot be used as a key"};
  }
  if (!settings.keys_path.empty()) {
    std::ifstream file(settings.keys_path);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file)
      return TokenFault{"--jwt-keys names a file that cannot be read: " + settings.keys_path};
    if (auto fault = verifier->read_keys(text.str())) return *fault;
  }
  return std::shared_ptr<const TokenVerifier>(std::move(verifier));
}

std::optional<TokenFault> TokenVerifier::read_keys(const std::string& text) {
  const auto document = parse_bounded_json(text);
  if (!document)
    return TokenFault{"--jwt-keys names a file that is no JSON: " + settings_.keys_path};
  const nlohmann::json& keys = member(*document, "keys");
  if (!keys.is_array() || keys.empty() || keys.size() > kMostKeys)
    return TokenFault{"--jwt-keys names a file without a list `keys` of 1 to 32 keys"};
  for (const nlohmann::json& key : keys) {
    const std::string one = dump_json(key);
    Key held = owned(cjose_jwk_import(one.data(), one.size(), nullptr));
    const auto kind = held ? cjose_jwk_get_kty(held.get(), nullptr) : CJOSE_JWK_KTY_OCT;
    // A shared secret among public keys would let their readers sign.
    if (kind != CJOSE_JWK_KTY_RSA && kind != CJOSE_JWK_KTY_EC)
      return TokenFault{"--jwt-keys names a file in which key " + std::to_string(keys_.size() + 1) +
                        " is no RSA or EC key"};
    keys_.push_back(std::move(held));
  }
  return std::nullopt;
}

bool TokenVerifier::is_signed(const std::string& token) const {
  const Jws jws(cjose_jws_import(token.data(), token.size(), nullptr));
  if (!jws) return false;
  cjose_header_t* header = cjose_jws_get_protected(jws.get());
  const auto text = [&](const char* name) {
    const char* value = cjose_header_get(header, name, nullptr);
    return std::string(value == nullptr ? "" : value);
  };
  // The algorithm is ours to choose, by the kind of the key: the token only says which.
  const std::string algorithm = text(CJOSE_HDR_ALG);
  if (algorithm == CJOSE_HDR_ALG_HS256)
    return secret_ && cjose_jws_verify(jws.get(), secret_.get(), nullptr);
  const bool rsa = algorithm == CJOSE_HDR_ALG_RS256;
  if (!rsa && algorithm != CJOSE_HDR_ALG_ES256) return false;
  const std::string id = text(CJOSE_HDR_KID);
  return std::any_of(keys_.begin(), keys_.end(), [&](const Key& key) {
    const char* own_id = cjose_jwk_get_kid(key.get(), nullptr);
    const auto kind = cjose_jwk_get_kty(key.get(), nullptr);
    return kind == (rsa ? CJOSE_JWK_KTY_RSA : CJOSE_JWK_KTY_EC) &&
           (id.empty() || own_id == nullptr || id == own_id) &&
           cjose_jws_verify(jws.get(), key.get(), nullptr);
  });
}

std::variant<TokenClaims, TokenFault> TokenVerifier::verify(std::string_view token,
                                                            std::int64_t now_s) const {
  const std::string whole(token);
  if (!is_token(whole) || !is_signed(whole))
    return TokenFault{"The token is not signed with a key that is known here."};
  const auto claims = payload_of(whole);
  if (!claims) return TokenFault{"The token holds no JSON object."};
  if (auto fault = time_fault(*claims, now_s)) return *fault;
  if (!holds(member(*claims, "aud"), settings_.audience))
    return TokenFault{"The token is for another audience (aud)."};
  if (!settings_.issuer.empty() && json_read::text(*claims, "iss") != settings_.issuer)
    return TokenFault{"The token is of another issuer (iss)."};
  return read_claims(*claims);
}

} // namespace holdfast::gateway
