#include "gateway/settlement_queue.hpp"

#include "gateway/log.hpp"
#include "gateway/metrics.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

using Clock = std::chrono::steady_clock;

std::size_t bytes_of(const Resolution& resolution) {
  return sizeof(Resolution) + resolution.settlement.answer.size() +
         resolution.settlement.metadata_json.size();
}

// Everything that is needed to settle by hand; never the answer.
void log_resolution(LogLevel level, const char* event, const Resolution& resolution) {
  const Settlement& settlement = resolution.settlement;
  LogRecord line(level, event);
  line.add("organizationId", settlement.organization_id)
      .add("holdId", settlement.hold_id)
      .add("resolution", resolution.kind == Resolution::Kind::settle ? "settle" : "release");
  if (resolution.kind == Resolution::Kind::settle) {
    line.add("model", settlement.model)
        .add("promptTokens", settlement.prompt_tokens)
        .add("completionTokens", settlement.completion_tokens)
        .add("cachedTokens", settlement.cached_tokens)
        .add("cacheWriteTokens", settlement.cache_write_tokens)
        .add("reasoningTokens", settlement.reasoning_tokens)
        .add("estimated", settlement.estimated)
        .add_decimal("reportedCostUSD", settlement.reported_cost_usd);
  }
  line.write();
}

} // namespace

SettlementQueue::Place::~Place() {
  if (queue_ != nullptr) queue_->give_back();
}

SettlementQueue::SettlementQueue(Attempt attempt, SettlementBounds bounds)
    : attempt_(std::move(attempt)), bounds_(bounds), worker_([this] { work(); }) {}

SettlementQueue::~SettlementQueue() {
  drain(Clock::now());
}

std::optional<SettlementQueue::Place> SettlementQueue::reserve() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (places_taken_ >= bounds_.max_calls || kept_bytes_ > bounds_.max_bytes) return std::nullopt;
  ++places_taken_;
  return Place(*this);
}

void SettlementQueue::give_back() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --places_taken_;
}

void SettlementQueue::keep(Resolution resolution, Place place) {
  log_resolution(LogLevel::warning, "settlement_kept", resolution);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_bytes_ += bytes_of(resolution);
    kept_.push_back({std::move(resolution), std::move(place)});
  }
  changed_.notify_all();
}

void SettlementQueue::retry_now() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.empty()) return;
    ++nudges_;
  }
  changed_.notify_all();
}

void SettlementQueue::record_refused(const Resolution& resolution) {
  log_resolution(LogLevel::error, "settlement_refused", resolution);
  metrics().count_settlement(false);
  const std::lock_guard<std::mutex> lock(mutex_);
  ++refused_;
}

SettlementQueue::Figures SettlementQueue::figures() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {places_taken_, kept_.size() + trying_, kept_bytes_};
}

// The next to try; nothing when the worker is to end.
std::optional<SettlementQueue::Kept> SettlementQueue::take() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return !kept_.empty() || draining_; });
  if (draining_ && (kept_.empty() || Clock::now() >= deadline_)) return std::nullopt;
  std::optional<Kept> next(std::move(kept_.front()));
  kept_.pop_front();
  trying_ = 1;
  return next;
}

// Waits before the next attempt. A drain cuts the wait short, and from then on bounds it; so does
// the news that the database is back.
void SettlementQueue::put_back(Kept kept, std::chrono::milliseconds wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  trying_ = 0;
  kept_.push_back(std::move(kept));
  const bool was_draining = draining_;
  const unsigned nudges = nudges_;
  auto until = Clock::now() + wait;
  if (was_draining) until = std::min(until, deadline_);
  changed_.wait_until(lock, until, [&] { return draining_ != was_draining || nudges_ != nudges; });
}

void SettlementQueue::finish(const Kept& kept) {
  const std::lock_guard<std::mutex> lock(mutex_);
  trying_ = 0;
  kept_bytes_ -= bytes_of(kept.resolution);
}

void SettlementQueue::work() {
  auto wait = bounds_.first_wait;
  while (auto next = take()) {
    const ResolutionResult result = attempt_(next->resolution);
    if (result == ResolutionResult::later) {
      put_back(std::move(*next), wait);
      wait = std::min(wait * 2, bounds_.longest_wait);
      continue;
    }
    if (result == ResolutionResult::refused) {
      record_refused(next->resolution);
    } else {
      log_resolution(LogLevel::info, "settlement_landed", next->resolution);
    }
    finish(*next);
    wait = bounds_.first_wait;
  }
}

std::size_t SettlementQueue::drain(Clock::time_point deadline, const Spool& spool) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    deadline_ = deadline;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
  std::deque<Kept> kept;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    kept.swap(kept_);
    kept_bytes_ = 0;
  }
  std::vector<Resolution> left;
  for (Kept& one : kept)
    left.push_back(std::move(one.resolution));
  const bool spooled = !left.empty() && spool && spool(left);
  std::size_t lost = 0;
  for (const Resolution& resolution : left) {
    if (spooled)
      log_resolution(LogLevel::warning, "settlement_spooled", resolution);
    else
      log_resolution(LogLevel::error, "settlement_unsettled", resolution);
    if (!spooled && resolution.kind == Resolution::Kind::settle) ++lost;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  return lost + refused_;
}

ResolutionResult try_resolution(Database& database, const Resolution& resolution,
                                SettledCall* settled) {
  const Settlement& settlement = resolution.settlement;
  try {
    if (resolution.kind == Resolution::Kind::release) {
      database.release_call(settlement);
    } else {
      const SettledCall answer = database.settle_call(settlement);
      if (settled != nullptr) *settled = answer;
    }
    metrics().count_settlement(true);
    return ResolutionResult::done;
  } catch (const DatabaseUnavailable& error) {
    log_event(LogLevel::warning, "settlement_delayed", error.what());
    return ResolutionResult::later;
  } catch (const DatabaseError& error) {
    // A hold of which it was not known whether it had been taken.
    const bool nothing_held =
        resolution.kind == Resolution::Kind::release && error.sqlstate == "PT404";
    if (nothing_held) return ResolutionResult::done;
    log_event(LogLevel::error, "settlement_error", error.sqlstate + ": " + error.what());
    // Refused for its values: no later attempt can succeed. All else may be mended in time.
    const bool values = error.sqlstate.compare(0, 2, "PT") == 0 ||
                        error.sqlstate.compare(0, 2, "22") == 0 ||
                        error.sqlstate.compare(0, 2, "23") == 0;
    return values ? ResolutionResult::refused : ResolutionResult::later;
  } catch (const std::exception& error) {
    log_event(LogLevel::error, "settlement_error", error.what());
    return ResolutionResult::later;
  }
}

} // namespace holdfast::gateway
