// The functions of the extension for signed tokens.
#pragma once

#include "gateway/database_pool.hpp"

#include <cstdint>
#include <string>

namespace holdfast::gateway {

class TokenDatabase {
public:
  explicit TokenDatabase(DatabasePool& pool) : pool_(pool) {}

  // Whether this gateway's role may register tokens: nobody may who was not granted it.
  bool may_register();

  // Makes a verified token a key of its organization, until it expires. Repeating it does nothing.
  void register_token(const std::string& organization_id, const std::string& hash,
                      const std::string& user_id, const std::string& role,
                      std::int64_t expires_at_s);

private:
  DatabasePool& pool_;
};

} // namespace holdfast::gateway
