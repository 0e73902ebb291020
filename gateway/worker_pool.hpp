// A bounded pool of workers with a bounded queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::gateway {

// Runs each connection on one of at most `workers` threads, made as they are needed. When they are
// all busy and the queue is full, a connection goes to a thread that only refuses; when that cannot
// keep up either, it is dropped at once by the thread that accepted it. The task learns from lane()
// which of these it is to do.
class WorkerPool {
public:
  enum class Lane { serve, refuse, drop };

  // `waiting` tells others how many connections wait though no worker is idle; it must outlive the
  // pool.
  WorkerPool(std::size_t workers, std::size_t queue_length, std::atomic<int>& waiting);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void enqueue(std::function<void()> task);
  // Ends the threads once all that was queued has run. What comes later is dropped.
  void shutdown();

  // The lane of the calling thread.
  static Lane lane();

private:
  struct Line {
    std::deque<std::function<void()>> tasks;
    std::size_t most = 0;
    std::size_t idle = 0;
    std::condition_variable arrived;
  };

  void work(Line& line, Lane as);
  void add_thread();
  void publish(const Line& line);
  bool offer(Line& line, std::function<void()>& task);

  std::atomic<int>& waiting_;
  std::size_t workers_;
  std::mutex mutex_;
  Line serving_;
  Line refusing_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

} // namespace holdfast::gateway
