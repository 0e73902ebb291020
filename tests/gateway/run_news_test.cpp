#include "gateway/run_news.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace holdfast::gateway {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kLong{60000};

TEST(RunNewsTest, WakesThoseWhoWatchTheRun) {
  RunNews news;
  RunNews::Watch watch(news, "run");
  std::thread teller([&] { news.tell("run"); });
  watch.wait(kLong); // would take a minute
  teller.join();
}

TEST(RunNewsTest, KeepsWhatCameWhileNobodyWaited) {
  RunNews news;
  RunNews::Watch first(news, "run");
  news.tell("run");
  RunNews::Watch second(news, "run");
  first.wait(kLong);
  news.tell("another");
  const auto begun = std::chrono::steady_clock::now();
  second.wait(milliseconds(20)); // it has heard nothing since it began
  EXPECT_GE(std::chrono::steady_clock::now() - begun, milliseconds(20));
}

TEST(RunNewsTest, ForgetsRunsThatNobodyWatches) {
  RunNews news;
  EXPECT_FALSE(news.is_watched());
  {
    const RunNews::Watch watch(news, "run");
    EXPECT_TRUE(news.is_watched());
  }
  EXPECT_FALSE(news.is_watched());
  news.tell("run");
  EXPECT_FALSE(news.is_watched());
}

} // namespace
} // namespace holdfast::gateway
