#pragma once

#include "extension/core/uuid.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::organization {

// Called at load time.
void watch_keys();

// Throws Error PT403 when the caller's JWT claims (PostgREST's request.jwt.claims) name another
// organization, or none without being the service role. A caller without claims is a backend that
// was granted EXECUTE: it acts for the organization it names.
void require(const Uuid& organization_id);

// Throws Error PT403 unless the actor is an admin or an owner: with claims whom they say, else
// `role`, where nobody means that the backend has decided. `what` begins the sentence.
void require_admin(const std::optional<std::string>& role, const std::string& what);

// Who an API key stands for.
struct Key {
  Uuid api_key_id;
  std::optional<std::string> user_id;
  std::string role;
  std::vector<std::string> allowed_models;    // normalized; none: all
  std::vector<std::string> allowed_providers; // none: all
  std::optional<std::int32_t> requests_per_minute;
  std::optional<std::int64_t> tokens_per_minute;
};

// Throws Error PT403 unless the key may call this model of this provider.
void require_allowed(const Key& key, const std::string& provider, const std::string& model);

// The key with this SHA-256 hash. Throws Error PT401 when it is unknown, revoked or expired.
// Needs a pg::Spi.
Key authenticate(const Uuid& organization_id, std::string_view key_hash);

// The key with this id as it is now, also when it was revoked or has expired since. Throws Error
// PT403 when it is gone. Needs a pg::Spi.
Key key_of(const Uuid& organization_id, const Uuid& api_key_id);

} // namespace holdfast::organization
