// Answers of calls, kept for requests that are asked again: in memory, and in the database.
#pragma once

#include "gateway/answer_cache.hpp"
#include "gateway/cache_controls.hpp"
#include "gateway/chat.hpp"
#include "gateway/database_cache.hpp"
#include "gateway/hold_keeper.hpp"
#include "gateway/request_context.hpp"
#include "gateway/run_news.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

namespace holdfast::gateway {

class ResponseCache;

// A kept answer, as its front door has written it.
struct CachedAnswer {
  std::string body;
  std::string provider;
  std::string model;
  std::optional<std::string> saved_usd;
  std::int64_t age_s = 0;
};

// A call whose answer is to be kept, and for which others may wait. They are told when it is
// destroyed without one.
class CacheFlight {
public:
  CacheFlight(ResponseCache& cache, FreshAnswer fresh, bool is_awaited);
  ~CacheFlight();
  CacheFlight(const CacheFlight&) = delete;
  CacheFlight& operator=(const CacheFlight&) = delete;

  // Never throws: a call does not fail because its answer could not be kept.
  void keep(const std::string& provider, const std::string& model, const Usage& usage,
            const std::string& body);

private:
  ResponseCache& cache_;
  FreshAnswer fresh_;
  bool is_open_; // others may wait
};

// Decides nothing that the database does not: each answer is given on its word alone. Safe for use
// by many threads.
class ResponseCache {
public:
  // How much is kept in memory.
  struct Bounds {
    std::size_t answers = 0;
    std::size_t bytes = 0;
  };

  ResponseCache(Database& database, Bounds bounds);
  ~ResponseCache();
  ResponseCache(const ResponseCache&) = delete;
  ResponseCache& operator=(const ResponseCache&) = delete;

  // The answer; or a flight, for the caller to make the call; or null, to make it without the
  // cache. Waits while another makes it, at most `most`, and neither for a client that has gone nor
  // once `cut` is set. Throws HttpError (429, 499, 503, 504), DatabaseError and
  // DatabaseUnavailable. Of the question the key, the wish's and the flight's fields are filled in
  // here.
  using Found = std::variant<CachedAnswer, std::shared_ptr<CacheFlight>>;
  Found find(CacheQuestion question, const std::string& key, const CacheWish& wish,
             RequestContext& context, std::chrono::milliseconds most, const std::atomic<bool>& cut);

  // What is kept in memory.
  Bounds held() const { return {memory_.size(), memory_.bytes()}; }

  // What the database says of an organization: whether it wants all its answers kept.
  void learn(const std::string& organization_id, bool caches_all);
  bool may_concern(const std::string& organization_id, const CacheWish& wish);

private:
  friend class CacheFlight;
  using Clock = std::chrono::steady_clock;

  std::shared_ptr<CacheFlight> flight_of(const CacheQuestion& question, const CacheWish& wish,
                                         bool is_awaited);
  CachedAnswer answer_of(const std::string& key, CacheReply reply,
                         const std::shared_ptr<const AnswerCache::Answer>& known);
  void listen();
  void begin_listening();

  CacheDatabase database_;
  AnswerCache memory_;
  RunNews news_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Clock::time_point> caching_all_; // until when that is believed
  bool wanted_ = false;
  bool tried_ = false;
  bool stopping_ = false;
  CacheListener listener_;
  HoldKeeper flights_;
  std::thread thread_;
};

} // namespace holdfast::gateway
