#include "extension/organization.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::organization {

namespace {

constexpr std::size_t kKeyHashBytes = 32;

#define HOLDFAST_KEY_COLUMNS                                                                       \
  "SELECT api_key_id, user_id, role, allowed_models, allowed_providers, requests_per_minute,"      \
  " tokens_per_minute, revoked_at IS NOT NULL, coalesce(expires_at <= $3, false)"                  \
  " FROM holdfast.api_keys WHERE organization_id = $1 AND "

constexpr Oid kFindKeyTypes[] = {UUIDOID, BYTEAOID, TIMESTAMPTZOID};
pg::Statement find_key(HOLDFAST_KEY_COLUMNS "key_hash = $2", kFindKeyTypes);

constexpr Oid kKeyOfTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement find_key_by_id(HOLDFAST_KEY_COLUMNS "api_key_id = $2", kKeyOfTypes);
#undef HOLDFAST_KEY_COLUMNS

Key read_key(const pg::Row& row) {
  Key key{row.uuid(1), row.optional_text(2), row.text(3), {}, {}, {}, {}};
  if (!row.is_null(4)) key.allowed_models = pg::to_texts(row.datum(4));
  if (!row.is_null(5)) key.allowed_providers = pg::to_texts(row.datum(5));
  if (!row.is_null(6)) key.requests_per_minute = row.integer(6);
  if (!row.is_null(7)) key.tokens_per_minute = row.bigint(7);
  return key;
}

Error bad_key(const char* why) {
  return unauthenticated(std::string("The API key ") + why + ".")
      .hint("Ask an administrator for a key: holdfast.create_api_key() makes one.");
}

} // namespace

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
  const pg::Rows rows = find_key.run(pg::Parameters()
                                         .add(organization_id)
                                         .add(pg::from_bytes(key_hash))
                                         .add(TimestampTzGetDatum(GetCurrentTimestamp())));
  if (rows.empty()) throw bad_key("is unknown");
  if (rows[0].boolean(8)) throw bad_key("was revoked");
  if (rows[0].boolean(9)) throw bad_key("has expired");
  return read_key(rows[0]);
}

Key key_of(const Uuid& organization_id, const Uuid& api_key_id) {
  const pg::Rows rows = find_key_by_id.run(pg::Parameters()
                                               .add(organization_id)
                                               .add(api_key_id)
                                               .add(TimestampTzGetDatum(GetCurrentTimestamp())));
  if (rows.empty())
    throw forbidden("The API key " + api_key_id.str() + " is gone.")
        .detail(JsonObject().text("apiKeyId", api_key_id.str()).str());
  return read_key(rows[0]);
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
