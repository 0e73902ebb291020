#include "gateway/database_tokens.hpp"

#include "gateway/database_text.hpp"

namespace holdfast::gateway {
namespace {

constexpr Statement kMayRegister{
    "holdfast_may_register_token",
    "SELECT has_function_privilege("
    "'holdfast.register_token(uuid, bytea, text, text, timestamptz)', 'EXECUTE')",
    true};

constexpr Statement kRegister{
    "holdfast_register_token",
    "SELECT holdfast.register_token(p_organization_id => $1::uuid, p_token_hash => $2::bytea,"
    " p_user_id => $3::text, p_role => $4::text, p_expires_at => to_timestamp($5::bigint))",
    true};

} // namespace

bool TokenDatabase::may_register() {
  return pool_.run(kMayRegister, {}).text(0, 0) == "t";
}

void TokenDatabase::register_token(const std::string& organization_id, const std::string& hash,
                                   const std::string& user_id, const std::string& role,
                                   std::int64_t expires_at_s) {
  pool_.run(kRegister,
            {organization_id, bytea_text(hash), user_id, role, std::to_string(expires_at_s)});
}

} // namespace holdfast::gateway
