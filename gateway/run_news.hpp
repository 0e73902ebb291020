// Tells those who wait for a run, or a flight of the cache, that something has happened in it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace holdfast::gateway {

// Safe for use by many threads.
class RunNews {
public:
  // Watches one run as long as it lives.
  class Watch {
  public:
    Watch(RunNews& news, std::string run_id);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // Waits until something has happened since the watch began or this returned last, at most
    // `most`; false when nothing has.
    bool wait(std::chrono::milliseconds most);

  private:
    RunNews& news_;
    std::string run_id_;
    std::uint64_t seen_ = 0;
  };

  void tell(const std::string& run_id);
  bool is_watched();

private:
  struct Watched {
    int watchers = 0;
    std::uint64_t told = 0;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Watched> runs_;
};

} // namespace holdfast::gateway
