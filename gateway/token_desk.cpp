#include "gateway/token_desk.hpp"

#include "gateway/api_key.hpp"
#include "gateway/http_error.hpp"
#include "gateway/ids.hpp"
#include "gateway/token.hpp"

#include <algorithm>
#include <ctime>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostKnown = 10000;
// Registering again costs little, and heals a database that was restored.
constexpr std::int64_t kKnownForS = 60;

std::optional<std::string> token_of(const httplib::Request& request) {
  std::string_view text;
  const std::string authorization = request.get_header_value("Authorization");
  const std::string plain = request.get_header_value("X-Api-Key");
  text = authorization.empty() ? std::string_view(plain) : bearer_of(authorization);
  if (!is_token(text)) return std::nullopt;
  return std::string(text);
}

} // namespace

void TokenDesk::admit(const httplib::Request& request) {
  const auto config = config_.now();
  if (!config->tokens) return;
  const auto token = token_of(request);
  if (!token) return;
  const std::int64_t now_s = std::time(nullptr);
  const std::string hash = sha256(*token);
  if (is_known(hash, now_s)) return;
  const auto verified = config->tokens->verify(*token, now_s);
  if (const auto* fault = std::get_if<TokenFault>(&verified))
    throw HttpError(401, "invalid_token", fault->what);
  const auto& claims = std::get<TokenClaims>(verified);
  database_.register_token(claims.organization_id, hash, claims.user_id, claims.role,
                           claims.expires_at_s);
  remember(hash, std::min(claims.expires_at_s, now_s + kKnownForS), now_s);
}

bool TokenDesk::is_known(const std::string& hash, std::int64_t now_s) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = known_.find(hash);
  return found != known_.end() && found->second > now_s;
}

void TokenDesk::remember(const std::string& hash, std::int64_t until_s, std::int64_t now_s) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (known_.size() >= kMostKnown) {
    for (auto it = known_.begin(); it != known_.end();)
      it = it->second <= now_s ? known_.erase(it) : std::next(it);
    if (known_.size() >= kMostKnown) known_.clear(); // they are asked for again
  }
  known_[hash] = until_s;
}

} // namespace holdfast::gateway
