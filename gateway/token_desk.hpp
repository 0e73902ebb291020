// Makes the bearers of signed tokens known to the database, as keys that end with their token.
#pragma once

#include "gateway/database_tokens.hpp"
#include "gateway/http_library.hpp"
#include "gateway/live_config.hpp"

#include <mutex>
#include <string>
#include <unordered_map>

namespace holdfast::gateway {

class TokenDesk {
public:
  TokenDesk(const LiveConfig& config, TokenDatabase& database)
      : config_(config), database_(database) {}

  // Checks the token that the request carries, and registers it where that was not done lately. A
  // request without one is let through: its handler asks for a key. Throws HttpError 401.
  void admit(const httplib::Request& request);

private:
  bool is_known(const std::string& hash, std::int64_t now_s);
  void remember(const std::string& hash, std::int64_t until_s, std::int64_t now_s);

  const LiveConfig& config_;
  TokenDatabase& database_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::int64_t> known_; // until when, by hash
};

} // namespace holdfast::gateway
