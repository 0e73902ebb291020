// The SQL statements on approvals of calls: one typed call for each function of the extension.
#pragma once

#include "gateway/database_runs.hpp"

namespace holdfast::gateway {

// Throws as Database does.
class ApprovalDatabase {
public:
  explicit ApprovalDatabase(DatabasePool& pool) : pool_(pool) {}

  // Prepares every statement.
  void check();

  // The newest, each a JSON object; of one status, or one alone.
  std::vector<std::string> list(const Caller& caller, const std::optional<std::string>& status,
                                const std::optional<std::string>& approval_id, int limit);

  // Approves or refuses; the key's role has to be admin or owner.
  void decide(const Caller& caller, const std::string& approval_id, bool approved,
              const std::optional<std::string>& reason);

private:
  DatabasePool& pool_;
};

} // namespace holdfast::gateway
