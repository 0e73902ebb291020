// Does the steps of runs that need a provider.
#pragma once

#include "gateway/database_runs.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/run_news.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::gateway {

// Takes ready steps from the database, a bounded number at once, calls their providers and reports
// what came of it. Where it dies, its leases run out and another worker takes over.
class RunWorker {
public:
  RunWorker(Services& services, RunDatabase& runs, RunNews& news);
  ~RunWorker();
  RunWorker(const RunWorker&) = delete;
  RunWorker& operator=(const RunWorker&) = delete;

  // Takes no more steps.
  void stop();
  // Waits until none is at work; false when that takes longer.
  bool wait_idle_until(std::chrono::steady_clock::time_point until);

private:
  using Clock = std::chrono::steady_clock;

  void claim();
  void listen();
  void keep();
  void work();

  std::vector<ClaimedStep> take_steps(int most);
  void beat();
  void reap();
  void run_step(const ClaimedStep& step);
  void deliver_step(const ClaimedStep& step);
  bool refuse_unable(const ClaimedStep& step, const ChatRequest& chat);
  void report(const ClaimedStep& step, const std::function<FinishedStep()>& write);
  bool sleep(std::chrono::milliseconds most); // false when the worker is to end
  int at_work() const;

  Services& services_;
  RunDatabase& runs_;
  RunNews& news_;
  const std::string name_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ClaimedStep> waiting_;
  std::map<std::string, ClaimedStep> running_; // by run, step and fence
  bool has_work_ = true;
  bool claiming_ = false; // what it takes comes to waiting_
  bool stopping_ = false;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

} // namespace holdfast::gateway
