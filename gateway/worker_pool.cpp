#include "gateway/worker_pool.hpp"

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostRefusing = 64;

thread_local WorkerPool::Lane current_lane = WorkerPool::Lane::serve;

} // namespace

WorkerPool::WorkerPool(std::size_t workers, std::size_t queue_length, std::atomic<int>& waiting)
    : waiting_(waiting) {
  serving_.most = queue_length;
  refusing_.most = kMostRefusing;
  for (std::size_t i = 0; i < workers; ++i) {
    threads_.emplace_back([this] { work(serving_, Lane::serve, true); });
  }
  threads_.emplace_back([this] { work(refusing_, Lane::refuse, false); });
}

WorkerPool::~WorkerPool() {
  shutdown();
}

WorkerPool::Lane WorkerPool::lane() {
  return current_lane;
}

bool WorkerPool::offer(Line& line, std::function<void()>& task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (line.tasks.size() >= line.most) return false;
    line.tasks.push_back(std::move(task));
    if (&line == &serving_) ++waiting_;
  }
  line.arrived.notify_one();
  return true;
}

void WorkerPool::enqueue(std::function<void()> task) {
  if (offer(serving_, task) || offer(refusing_, task)) return;
  current_lane = Lane::drop;
  task();
  current_lane = Lane::serve;
}

void WorkerPool::work(Line& line, Lane as, bool counted) {
  current_lane = as;
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      line.arrived.wait(lock, [&] { return ending_ || !line.tasks.empty(); });
      if (line.tasks.empty()) return;
      task = std::move(line.tasks.front());
      line.tasks.pop_front();
      if (counted) --waiting_;
    }
    task();
  }
}

void WorkerPool::shutdown() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  serving_.arrived.notify_all();
  refusing_.arrived.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

} // namespace holdfast::gateway
