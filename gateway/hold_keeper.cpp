#include "gateway/hold_keeper.hpp"

#include <algorithm>

namespace holdfast::gateway {

HoldKeeper::HoldKeeper(Extend extend, std::chrono::milliseconds life)
    : extend_(std::move(extend)), life_(life), worker_([this] { work(); }) {}

HoldKeeper::~HoldKeeper() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void HoldKeeper::watch(const std::string& organization_id, const std::string& hold_id) {
  // A new hold is due last, so a worker that waits for a time, if only for a hold that was since
  // forgotten, wakes early enough.
  bool must_wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    must_wake = sleeps_;
    sleeps_ = false;
    holds_[hold_id] = {organization_id, Clock::now() + life_ / 2};
  }
  if (must_wake) changed_.notify_all();
}

void HoldKeeper::forget(const std::string& hold_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  holds_.erase(hold_id);
}

std::size_t HoldKeeper::count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return holds_.size();
}

std::map<std::string, HoldKeeper::Watched>::iterator HoldKeeper::most_urgent() {
  return std::min_element(holds_.begin(), holds_.end(),
                          [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
}

void HoldKeeper::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    if (holds_.empty()) {
      sleeps_ = true;
      changed_.wait(lock, [&] { return !sleeps_ || stopping_; });
      continue;
    }
    const auto urgent = most_urgent();
    if (Clock::now() < urgent->second.due) {
      changed_.wait_until(lock, Clock::time_point(urgent->second.due));
      continue;
    }
    const std::string hold_id = urgent->first;
    const std::string organization_id = urgent->second.organization_id;
    lock.unlock();
    const bool extended = extend_(organization_id, hold_id);
    lock.lock();
    const auto still = holds_.find(hold_id);
    if (still != holds_.end()) still->second.due = Clock::now() + life_ / (extended ? 2 : 16);
  }
}

} // namespace holdfast::gateway
