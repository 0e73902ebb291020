#include "extension/organization.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/keyed_row.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::organization {

namespace {

constexpr std::size_t kKeyHashBytes = 32;

// Read without the executor: each call reads one.
pg::KeyedTable keys("holdfast", "api_keys", "api_keys_organization_id_key_hash_key");
pg::KeyedTable keys_by_id("holdfast", "api_keys", "api_keys_pkey");

// Columns of api_keys.
constexpr int kApiKeyId = 2;
constexpr int kUserId = 5;
constexpr int kRole = 6;
constexpr int kExpiresAt = 8;
constexpr int kRevokedAt = 9;
constexpr int kAllowedModels = 10;
constexpr int kAllowedProviders = 11;
constexpr int kRequestsPerMinute = 12;
constexpr int kTokensPerMinute = 13;

Key read_key(const pg::Row& row) {
  Key key{row.uuid(kApiKeyId), row.optional_text(kUserId), row.text(kRole), {}, {}, {}, {}};
  if (!row.is_null(kAllowedModels)) key.allowed_models = pg::to_texts(row.datum(kAllowedModels));
  if (!row.is_null(kAllowedProviders))
    key.allowed_providers = pg::to_texts(row.datum(kAllowedProviders));
  if (!row.is_null(kRequestsPerMinute)) key.requests_per_minute = row.integer(kRequestsPerMinute);
  if (!row.is_null(kTokensPerMinute)) key.tokens_per_minute = row.bigint(kTokensPerMinute);
  return key;
}

Error bad_key(const char* why) {
  return unauthenticated(std::string("The API key ") + why + ".")
      .hint("Ask an administrator for a key: holdfast.create_api_key() makes one.");
}

} // namespace

void watch_keys() {
  keys.watch();
  keys_by_id.watch();
}

void require(const Uuid& organization_id) {
  if (!pg::has_claims()) return;
  if (pg::claim("role") == "service_role") return;
  const std::optional<std::string> claimed = pg::claim("organization_id");
  if (claimed == organization_id.str()) return;
  if (!claimed && pg::caller_is_operator()) return;
  throw forbidden("The token does not belong to organization " + organization_id.str() + ".")
      .detail(JsonObject().text("organizationId", organization_id.str()).str())
      .hint("Call with the organization that the token's organization_id claim names.");
}

void require_admin(const std::optional<std::string>& role, const std::string& what) {
  std::optional<std::string> known = role;
  if (pg::has_claims() && pg::claim("role") != "service_role")
    known = pg::claim("holdfast_role").value_or("guest");
  if (!known || *known == "admin" || *known == "owner") return;
  throw forbidden(what + " is approved by an admin or an owner, not by role \"" + *known + "\".")
      .detail(JsonObject().text("role", *known).str())
      .hint("Ask an administrator of the organization.");
}

Key authenticate(const Uuid& organization_id, std::string_view key_hash) {
  if (key_hash.size() != kKeyHashBytes) throw bad_key("hash is not a SHA-256 hash of 32 bytes");
  const Datum hash[] = {pg::from_uuid(organization_id), pg::from_bytes(key_hash)};
  pg::KeyedRow found(keys, AccessShareLock);
  if (!found.fetch(hash, 2)) throw bad_key("is unknown");
  const pg::Row row = found.row();
  if (!row.is_null(kRevokedAt)) throw bad_key("was revoked");
  if (!row.is_null(kExpiresAt) &&
      DatumGetTimestampTz(row.datum(kExpiresAt)) <= GetCurrentTimestamp())
    throw bad_key("has expired");
  return read_key(row);
}

Key key_of(const Uuid& organization_id, const Uuid& api_key_id) {
  const Datum id[] = {pg::from_uuid(organization_id), pg::from_uuid(api_key_id)};
  pg::KeyedRow found(keys_by_id, AccessShareLock);
  if (!found.fetch(id, 2))
    throw forbidden("The API key " + api_key_id.str() + " is gone.")
        .detail(JsonObject().text("apiKeyId", api_key_id.str()).str());
  return read_key(found.row());
}

void require_allowed(const Key& key, const std::string& provider, const std::string& model) {
  const auto permits = [](const std::vector<std::string>& names, const std::string& name) {
    return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!permits(key.allowed_providers, provider))
    throw forbidden("The API key may not call the provider " + provider + ".")
        .detail(JsonObject().text("field", "provider").text("provider", provider).str())
        .hint("Name a provider that the key allows, or use another key.");
  if (!permits(key.allowed_models, model))
    throw forbidden("The API key may not call the model " + model + ".")
        .detail(JsonObject().text("field", "model").text("model", model).str())
        .hint("Name a model that the key allows, or use another key.");
}

} // namespace holdfast::organization

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_require_organization) {
  organization::require(pg::Arguments(fcinfo).uuid(0, "p_organization_id"));
  return BoolGetDatum(true);
}

HOLDFAST_FUNCTION(holdfast_authenticate_key) {
  const pg::Arguments arguments(fcinfo);
  const Uuid organization_id = arguments.uuid(0, "p_organization_id");
  const std::string hash = pg::to_bytes(arguments.required(1, "p_key_hash"));
  organization::Key key;
  {
    pg::Spi spi;
    key = organization::authenticate(organization_id, hash);
  }
  return pg::ResultRow().add(key.api_key_id).text(key.user_id).text(key.role).finish(fcinfo);
}
