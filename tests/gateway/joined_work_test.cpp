#include "gateway/joined_work.hpp"

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>

namespace holdfast::gateway {
namespace {

using Joined = JoinedWork<int, std::string>;

// Records the sizes of batches, and lets a test hold the first one back.
class Worker {
public:
  Joined::Work work() {
    return [this](const std::vector<const int*>& items) {
      std::unique_lock<std::mutex> lock(mutex_);
      sizes_.push_back(items.size());
      begun_.notify_all();
      begun_.wait(lock, [&] { return !held_; });
      std::vector<Joined::Outcome> outcomes;
      for (const int* item : items) {
        if (*item < 0)
          outcomes.emplace_back(std::make_exception_ptr(std::runtime_error("negative")));
        else
          outcomes.emplace_back(std::to_string(*item));
      }
      if (*items.front() == 0) throw std::logic_error("all of it");
      return outcomes;
    };
  }
  void hold() {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = true;
  }
  void wait_begun() {
    std::unique_lock<std::mutex> lock(mutex_);
    begun_.wait(lock, [&] { return !sizes_.empty(); });
  }
  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = false;
    begun_.notify_all();
  }
  std::vector<std::size_t> sizes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return sizes_;
  }

private:
  std::mutex mutex_;
  std::condition_variable begun_;
  std::vector<std::size_t> sizes_;
  bool held_ = false;
};

TEST(JoinedWorkTest, AloneItIsDoneAtOnce) {
  Worker worker;
  Joined joined(worker.work(), 1, 10);
  EXPECT_EQ(joined.run(7), "7");
  EXPECT_EQ(joined.run(8), "8");
  EXPECT_EQ(worker.sizes(), (std::vector<std::size_t>{1, 1}));
}

TEST(JoinedWorkTest, EachHasItsOwnOutcomeHoweverManyCome) {
  constexpr int kThreads = 40;
  constexpr int kTimes = 200;
  constexpr std::size_t kMost = 8;
  Worker worker;
  Joined joined(worker.work(), 2, kMost);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 1; i <= kTimes; ++i) {
        const int item = (thread * kTimes + i) * (i % 3 == 0 ? -1 : 1);
        try {
          if (joined.run(item) == std::to_string(item)) ++right;
        } catch (const std::runtime_error& error) {
          if (item < 0 && std::string(error.what()) == "negative") ++right;
        }
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(right, kThreads * kTimes);
  std::size_t sum = 0;
  for (const std::size_t size : worker.sizes()) {
    EXPECT_LE(size, kMost);
    sum += size;
  }
  EXPECT_EQ(sum, static_cast<std::size_t>(kThreads * kTimes));
}

TEST(JoinedWorkTest, WhoComesMeanwhileGoesTogetherNext) {
  Worker worker;
  worker.hold();
  Joined joined(worker.work(), 1, 10);
  auto first = std::async(std::launch::async, [&] { return joined.run(1); });
  worker.wait_begun();
  std::vector<std::future<std::string>> others;
  for (int i = 2; i < 6; ++i)
    others.push_back(std::async(std::launch::async, [&joined, i] { return joined.run(i); }));
  while (joined.waiting() < others.size())
    std::this_thread::yield();
  worker.release();
  EXPECT_EQ(first.get(), "1");
  for (std::size_t i = 0; i < others.size(); ++i)
    EXPECT_EQ(others[i].get(), std::to_string(i + 2));
  EXPECT_EQ(worker.sizes(), (std::vector<std::size_t>{1, 4}));
}

TEST(JoinedWorkTest, AFurtherLaneOpensForAFullBatchOnly) {
  Worker worker;
  worker.hold();
  Joined joined(worker.work(), 2, 3);
  std::vector<std::future<std::string>> all;
  const auto come = [&] {
    const int item = static_cast<int>(all.size()) + 1;
    all.push_back(std::async(std::launch::async, [&joined, item] { return joined.run(item); }));
  };
  come();
  worker.wait_begun();
  for (std::size_t waiting = 1; waiting <= 2; ++waiting) {
    come();
    while (joined.waiting() < waiting)
      std::this_thread::yield();
  }
  EXPECT_EQ(worker.sizes(), (std::vector<std::size_t>{1}));
  come();
  while (worker.sizes().size() < 2)
    std::this_thread::yield();
  EXPECT_EQ(worker.sizes(), (std::vector<std::size_t>{1, 3}));
  EXPECT_EQ(joined.waiting(), 0U);
  worker.release();
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i].get(), std::to_string(i + 1));
}

TEST(JoinedWorkTest, WhatTheWorkThrowsAllGetAndTheLaneIsFree) {
  Worker worker;
  Joined joined(worker.work(), 1, 10);
  EXPECT_THROW(joined.run(0), std::logic_error);
  EXPECT_EQ(joined.run(1), "1");
}

} // namespace
} // namespace holdfast::gateway
