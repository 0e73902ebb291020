#include "gateway/worker_pool.hpp"

#include <algorithm>
#include <system_error>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostRefusing = 1024;

thread_local WorkerPool::Lane current_lane = WorkerPool::Lane::serve;

} // namespace

WorkerPool::WorkerPool(std::size_t workers, std::size_t queue_length, std::atomic<int>& waiting)
    : waiting_(waiting), workers_(workers) {
  serving_.most = queue_length;
  refusing_.most = kMostRefusing;
  threads_.emplace_back([this] { work(refusing_, Lane::refuse); });
}

WorkerPool::~WorkerPool() {
  WorkerPool::shutdown();
}

WorkerPool::Lane WorkerPool::lane() {
  return current_lane;
}

bool WorkerPool::offer(Line& line, std::function<void()>& task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ending_) return false;
    if (&line == &serving_ && line.tasks.size() >= line.idle) add_thread();
    const std::size_t served = std::min(line.tasks.size(), line.idle);
    if (line.tasks.size() - served >= line.most) return false;
    line.tasks.push_back(std::move(task));
    publish(line);
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

// It counts as idle from now on. Without it the connection waits for one of the others.
void WorkerPool::add_thread() {
  if (threads_.size() > workers_) return; // one of them refuses
  try {
    threads_.emplace_back([this] { work(serving_, Lane::serve); });
    ++serving_.idle;
  } catch (const std::system_error&) {
    if (threads_.size() == 1) throw;
  }
}

// A connection that an idle worker is just waking up for does not wait: kept connections would give
// way to it, and their clients' next requests be lost.
void WorkerPool::publish(const Line& line) {
  if (&line != &serving_) return;
  const std::size_t served = std::min(line.tasks.size(), line.idle);
  waiting_ = static_cast<int>(line.tasks.size() - served);
}

void WorkerPool::work(Line& line, Lane as) {
  current_lane = as;
  for (bool is_counted = as == Lane::serve;; is_counted = false) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (!is_counted) ++line.idle;
      publish(line);
      line.arrived.wait(lock, [&] { return ending_ || !line.tasks.empty(); });
      --line.idle;
      if (line.tasks.empty()) return;
      task = std::move(line.tasks.front());
      line.tasks.pop_front();
      publish(line);
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
