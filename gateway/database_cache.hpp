// The SQL statements on kept answers: one typed call for each function of the extension.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/database.hpp"
#include "gateway/joined_work.hpp"

#include <memory>
#include <string>
#include <vector>

namespace holdfast::gateway {

// A request that may be answered without its provider. `key` is the cache's, 32 bytes.
struct CacheQuestion {
  std::string organization_id;
  std::string key_hash;
  std::string key;
  std::string flight_id;
  bool asked = false;
  std::optional<std::int64_t> max_age_s;
  std::optional<std::string> entry_id; // whose answer is known
  std::int64_t lease_ms = 0;
  std::optional<std::string> workflow_id;
  std::optional<std::string> user_id;
  std::optional<std::string> idempotency_key;
  std::optional<std::string> fingerprint;
  std::optional<std::string> client_ip;
  std::optional<std::string> route;
  std::string metadata_json = "{}";
};

enum class CacheOutcome { cached, limited, flight, waiting, pass };

// What is kept for it. Without an `answer` it is that of the entry that is known.
struct CacheReply {
  CacheOutcome outcome = CacheOutcome::pass;
  std::string entry_id;
  std::optional<std::string> answer;
  std::string provider;
  std::string model;
  std::optional<std::string> saved_usd;
  std::int64_t age_ms = 0;
  std::int64_t lease_ms = 0;
  std::optional<std::int64_t> retry_after_ms;
  std::optional<RateFigures> rate;
};

// An answer to be kept.
struct FreshAnswer {
  std::string organization_id;
  std::string key;
  std::string flight_id;
  std::string provider;
  std::string model;
  Usage usage;
  std::string answer;
  bool asked = false;
  std::int64_t ttl_s = 0;
};

class CacheDatabase {
public:
  explicit CacheDatabase(DatabasePool& pool);

  // Prepares every statement; throws as Database::check() does.
  void check();

  // Those who ask at the same time share a transaction.
  CacheReply ask(const CacheQuestion& question);
  // The entry's id, nothing when it is not kept.
  std::optional<std::string> keep(const FreshAnswer& fresh);
  void extend_flight(const std::string& organization_id, const std::string& key,
                     const std::string& flight_id, std::int64_t lease_ms);
  void end_flight(const std::string& organization_id, const std::string& key,
                  const std::string& flight_id);

private:
  // Nothing: the batch failed, and each is to be asked by itself.
  using Questions = JoinedWork<CacheQuestion, std::optional<CacheReply>>;
  std::vector<Questions::Outcome> ask_all(const std::vector<const CacheQuestion*>& questions);
  CacheReply ask_one(const CacheQuestion& question);

  DatabasePool& pool_;
  Questions questions_;
};

// Hears which flights have ended, on a connection of its own. For one thread.
class CacheListener {
public:
  CacheListener(std::string conninfo, const Deadline& give_up)
      : conninfo_(std::move(conninfo)), give_up_(give_up) {}

  // Connects and listens, unless that is done. Throws DatabaseUnavailable or DatabaseError.
  void connect();

  // Waits up to `wait_ms` and returns the keys, in hex. What it throws ends the connection.
  std::vector<std::string> wait(int wait_ms);

private:
  std::string conninfo_;
  const Deadline& give_up_;
  std::unique_ptr<Connection> connection_;
};

} // namespace holdfast::gateway
