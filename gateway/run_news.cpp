#include "gateway/run_news.hpp"

namespace holdfast::gateway {

RunNews::Watch::Watch(RunNews& news, std::string run_id) : news_(news), run_id_(std::move(run_id)) {
  const std::lock_guard<std::mutex> lock(news_.mutex_);
  Watched& watched = news_.runs_[run_id_];
  ++watched.watchers;
  seen_ = watched.told;
}

RunNews::Watch::~Watch() {
  const std::lock_guard<std::mutex> lock(news_.mutex_);
  const auto watched = news_.runs_.find(run_id_);
  if (--watched->second.watchers == 0) news_.runs_.erase(watched);
}

bool RunNews::Watch::wait(std::chrono::milliseconds most) {
  std::unique_lock<std::mutex> lock(news_.mutex_);
  const Watched& watched = news_.runs_[run_id_];
  const bool told = news_.changed_.wait_for(lock, most, [&] { return watched.told != seen_; });
  seen_ = watched.told;
  return told;
}

bool RunNews::is_watched() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !runs_.empty();
}

void RunNews::tell(const std::string& run_id) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto watched = runs_.find(run_id);
    if (watched == runs_.end()) return;
    ++watched->second.told;
  }
  changed_.notify_all();
}

} // namespace holdfast::gateway
