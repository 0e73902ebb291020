// Keeps the holds of running calls alive.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace holdfast::gateway {

// Extends each hold it watches when half of its life is over. One thread for all calls, so that no
// stream waits for it. Safe for use by many threads.
class HoldKeeper {
public:
  // Extends one hold to a full life from now; false when that failed, and is to be tried again.
  using Extend =
      std::function<bool(const std::string& organization_id, const std::string& hold_id)>;

  HoldKeeper(Extend extend, std::chrono::milliseconds life);
  ~HoldKeeper();
  HoldKeeper(const HoldKeeper&) = delete;
  HoldKeeper& operator=(const HoldKeeper&) = delete;

  // Watches a fresh hold, until it is forgotten.
  void watch(const std::string& organization_id, const std::string& hold_id);
  void forget(const std::string& hold_id);

  // How many holds are watched.
  std::size_t count() const;

private:
  using Clock = std::chrono::steady_clock;
  struct Watched {
    std::string organization_id;
    Clock::time_point due;
  };

  void work();
  std::map<std::string, Watched>::iterator most_urgent();

  Extend extend_;
  std::chrono::milliseconds life_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Watched> holds_;
  bool sleeps_ = false; // until it is woken
  bool stopping_ = false;
  std::thread worker_;
};

} // namespace holdfast::gateway
