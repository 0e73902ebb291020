#include "gateway/worker_pool.hpp"

#include <future>
#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

TEST(WorkerPoolTest, TasksBeyondWorkersAndQueueAreRefusedThenDropped) {
  constexpr std::size_t kRefusingLine = 1024;
  std::atomic<int> waiting{0};
  std::promise<void> open;
  const std::shared_future<void> opened = open.get_future().share();
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  std::atomic<int> dropped{0};
  std::promise<void> serving;
  std::promise<void> refusing;
  {
    WorkerPool pool(1, 2, waiting);
    pool.enqueue([&] {
      serving.set_value();
      opened.wait();
      ++served;
    });
    serving.get_future().wait();
    for (int i = 0; i < 2; ++i) {
      pool.enqueue([&] {
        EXPECT_EQ(WorkerPool::lane(), WorkerPool::Lane::serve);
        ++served;
      });
    }
    EXPECT_EQ(waiting, 2);
    pool.enqueue([&] {
      EXPECT_EQ(WorkerPool::lane(), WorkerPool::Lane::refuse);
      refusing.set_value();
      opened.wait();
      ++refused;
    });
    refusing.get_future().wait();
    for (std::size_t i = 0; i < kRefusingLine; ++i) {
      pool.enqueue([&] { ++refused; });
    }
    pool.enqueue([&] {
      EXPECT_EQ(WorkerPool::lane(), WorkerPool::Lane::drop);
      ++dropped;
    });
    EXPECT_EQ(dropped, 1);
    open.set_value();
  }
  EXPECT_EQ(served, 3);
  EXPECT_EQ(refused, static_cast<int>(kRefusingLine) + 1);
  EXPECT_EQ(waiting, 0);
  EXPECT_EQ(WorkerPool::lane(), WorkerPool::Lane::serve);
}

TEST(WorkerPoolTest, ShutdownRunsWhatWasQueued) {
  std::atomic<int> waiting{0};
  std::atomic<int> served{0};
  WorkerPool pool(2, 100, waiting);
  for (int i = 0; i < 100; ++i)
    pool.enqueue([&] { ++served; });
  pool.shutdown();
  EXPECT_EQ(served, 100);
}

} // namespace
} // namespace holdfast::gateway
