#include "gateway/response_cache.hpp"

#include "gateway/http_error.hpp"
#include "gateway/ids.hpp"
#include "gateway/log.hpp"
#include "gateway/metrics.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLease{10000};
constexpr milliseconds kBelief{60000};
constexpr std::size_t kMostBeliefs = 10000;
constexpr milliseconds kWaitSlice{250};
constexpr milliseconds kLeaseMargin{50};
constexpr milliseconds kReconnect{1000};
constexpr int kListenSliceMs = 200;
// Who has waited for so many flights that came to nothing makes the call beside the next.
constexpr int kMostDisappointments = 2;
constexpr std::size_t kKeyBytes = 32;

HttpError waited_too_long() {
  HttpError error(504, "cache_wait_timeout",
                  "Another request makes the same answer, and it did not come in time. Try again.");
  error.retry_after_s = 1;
  return error;
}

// Who has nobody to answer to makes no call of its own.
HttpError not_waited_for(const RequestContext& context) {
  if (context.client_gone()) return {499, "client_gone", "The client went away."};
  HttpError error(503, "gateway_stopping",
                  "Another request makes the same answer, which was not waited for, since the "
                  "gateway is stopping. Try again.");
  error.retry_after_s = 1;
  return error;
}

HttpError limited(const CacheReply& reply) {
  OpenedCall call;
  call.outcome = OpenOutcome::limited;
  call.rate = reply.rate;
  call.retry_after_ms = reply.retry_after_ms;
  return error_from_rate_limit(call);
}

} // namespace

CacheFlight::CacheFlight(ResponseCache& cache, FreshAnswer fresh, bool is_awaited)
    : cache_(cache), fresh_(std::move(fresh)), is_open_(is_awaited) {
  if (is_open_) cache_.flights_.watch(fresh_.organization_id, fresh_.key + fresh_.flight_id);
}

CacheFlight::~CacheFlight() {
  if (!is_open_) return;
  cache_.flights_.forget(fresh_.key + fresh_.flight_id);
  try {
    cache_.database_.end_flight(fresh_.organization_id, fresh_.key, fresh_.flight_id);
  } catch (const std::exception& error) {
    // Its lease runs out, and those who wait look for themselves.
    log_event(LogLevel::warning, "flight_not_ended", error.what());
  }
}

void CacheFlight::keep(const std::string& provider, const std::string& model, const Usage& usage,
                       const std::string& body) {
  try {
    fresh_.provider = provider;
    fresh_.model = model;
    fresh_.usage = usage;
    fresh_.answer = body;
    const auto entry_id = cache_.database_.keep(fresh_);
    if (is_open_) cache_.flights_.forget(fresh_.key + fresh_.flight_id);
    is_open_ = false;
    metrics().count_cache(entry_id ? CacheEvent::kept : CacheEvent::not_kept);
    if (entry_id) cache_.memory_.keep(fresh_.key, {*entry_id, body});
  } catch (const std::exception& error) {
    metrics().count_cache(CacheEvent::not_kept);
    log_event(LogLevel::warning, "answer_not_kept", error.what());
  }
}

ResponseCache::ResponseCache(Database& database, Bounds bounds)
    : database_(database.pool()), memory_(bounds.answers, bounds.bytes),
      listener_(database.pool().conninfo(), database.pool().deadline()),
      flights_(
          [this](const std::string& organization_id, const std::string& flight) {
            try {
              database_.extend_flight(organization_id, flight.substr(0, kKeyBytes),
                                      flight.substr(kKeyBytes), kLease.count());
              return true;
            } catch (const std::exception& error) {
              log_event(LogLevel::warning, "flight_not_extended", error.what());
              return false;
            }
          },
          kLease),
      thread_([this] { listen(); }) {}

ResponseCache::~ResponseCache() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ResponseCache::learn(const std::string& organization_id, bool caches_all) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!caches_all) {
    caching_all_.erase(organization_id);
    return;
  }
  if (caching_all_.size() >= kMostBeliefs) caching_all_.clear();
  caching_all_[organization_id] = Clock::now() + kBelief;
}

bool ResponseCache::may_concern(const std::string& organization_id, const CacheWish& wish) {
  if (!wish.is_open()) return false;
  if (wish.asked) return true;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = caching_all_.find(organization_id);
  return found != caching_all_.end() && found->second > Clock::now();
}

// Notices are heard from the first request on that may have to wait for one.
void ResponseCache::begin_listening() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (tried_) return;
  wanted_ = true;
  changed_.notify_all();
  changed_.wait_for(lock, kReconnect, [this] { return tried_ || stopping_; });
}

void ResponseCache::listen() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return wanted_ || stopping_; });
  while (!stopping_) {
    lock.unlock();
    bool failed = false;
    try {
      listener_.connect();
      lock.lock();
      tried_ = true;
      changed_.notify_all();
      lock.unlock();
      for (const std::string& key : listener_.wait(kListenSliceMs))
        news_.tell(key);
    } catch (const std::exception& error) {
      failed = true;
      log_event(LogLevel::warning, "listen_failed", error.what());
    }
    lock.lock();
    tried_ = true;
    changed_.notify_all();
    if (failed) changed_.wait_for(lock, kReconnect, [this] { return stopping_; });
  }
}

std::shared_ptr<CacheFlight> ResponseCache::flight_of(const CacheQuestion& question,
                                                      const CacheWish& wish, bool is_awaited) {
  metrics().count_cache(CacheEvent::miss);
  if (!wish.stores && !is_awaited) return nullptr;
  FreshAnswer fresh;
  fresh.organization_id = question.organization_id;
  fresh.key = question.key;
  fresh.flight_id = question.flight_id;
  fresh.asked = wish.asked;
  fresh.ttl_s = wish.ttl_s;
  return std::make_shared<CacheFlight>(*this, std::move(fresh), is_awaited);
}

CachedAnswer ResponseCache::answer_of(const std::string& key, CacheReply reply,
                                      const std::shared_ptr<const AnswerCache::Answer>& known) {
  CachedAnswer answer;
  answer.provider = std::move(reply.provider);
  answer.model = std::move(reply.model);
  answer.saved_usd = std::move(reply.saved_usd);
  answer.age_s = reply.age_ms / 1000;
  metrics().count_cache(reply.answer ? CacheEvent::database_hit : CacheEvent::memory_hit);
  if (reply.answer) {
    answer.body = std::move(*reply.answer);
    memory_.keep(key, {std::move(reply.entry_id), answer.body});
  } else if (known) {
    answer.body = known->body;
  } else {
    throw DatabaseError("XX000", "cached_call answered without the answer", "", "");
  }
  return answer;
}

ResponseCache::Found ResponseCache::find(CacheQuestion question, const std::string& key,
                                         const CacheWish& wish, RequestContext& context,
                                         milliseconds most, const std::atomic<bool>& cut) {
  question.key = key;
  question.flight_id = new_uuid();
  question.asked = wish.asked;
  question.max_age_s = wish.max_age_s;
  question.lease_ms = kLease.count();
  if (!wish.reads) return flight_of(question, wish, false);
  begin_listening();
  const auto until = Clock::now() + most;
  RunNews::Watch watch(news_, to_hex(key));
  int disappointments = 0;
  bool has_waited = false;
  while (true) {
    const auto known = memory_.find(key);
    question.entry_id = known ? std::optional(known->entry_id) : std::nullopt;
    CacheReply reply = database_.ask(question);
    if (!wish.asked && reply.outcome != CacheOutcome::pass) learn(question.organization_id, true);
    if (reply.rate && reply.outcome != CacheOutcome::limited)
      for (auto& header : rate_headers(*reply.rate))
        context.notices.push_back(std::move(header));
    switch (reply.outcome) {
    case CacheOutcome::cached:
      return answer_of(key, std::move(reply), known);
    case CacheOutcome::limited:
      throw limited(reply);
    case CacheOutcome::pass:
      return std::shared_ptr<CacheFlight>();
    case CacheOutcome::flight:
      memory_.forget(key);
      return flight_of(question, wish, true);
    case CacheOutcome::waiting:
      break;
    }
    if (!has_waited) metrics().count_cache(CacheEvent::wait);
    has_waited = true;
    if (disappointments == kMostDisappointments) return flight_of(question, wish, false);
    const auto look_again = Clock::now() + milliseconds(reply.lease_ms) + kLeaseMargin;
    bool told = false;
    while (!told && Clock::now() < look_again) {
      if (Clock::now() >= until) throw waited_too_long();
      if (cut || context.client_gone()) throw not_waited_for(context);
      const auto left =
          std::chrono::duration_cast<milliseconds>(std::min(look_again, until) - Clock::now());
      told = watch.wait(std::clamp(left, milliseconds(1), kWaitSlice));
    }
    if (told) ++disappointments;
  }
}

} // namespace holdfast::gateway
