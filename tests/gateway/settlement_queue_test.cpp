#include "gateway/settlement_queue.hpp"

#include <atomic>
#include <future>
#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

Resolution settlement(const std::string& hold_id, std::size_t answer_bytes = 0) {
  Resolution made;
  made.settlement.hold_id = hold_id;
  made.settlement.answer = std::string(answer_bytes, 'x');
  return made;
}

SettlementBounds bounds(std::size_t calls, std::size_t bytes = 1048576) {
  return {calls, bytes, milliseconds(1), milliseconds(2)};
}

TEST(SettlementQueueTest, AdmitsNoMoreCallsThanItHasPlaces) {
  SettlementQueue queue([](const Resolution&) { return ResolutionResult::done; }, bounds(2));
  auto first = queue.reserve();
  {
    const auto second = queue.reserve();
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(queue.reserve());
  }
  EXPECT_TRUE(queue.reserve());
}

TEST(SettlementQueueTest, KeptSettlementsHoldTheirPlaceUntilTaken) {
  std::atomic<bool> away{true};
  std::promise<void> taken;
  SettlementQueue queue(
      [&](const Resolution&) {
        if (away) return ResolutionResult::later;
        taken.set_value();
        return ResolutionResult::done;
      },
      bounds(1));
  queue.keep(settlement("h"), std::move(*queue.reserve()));
  EXPECT_FALSE(queue.reserve());
  away = false;
  taken.get_future().wait();
  EXPECT_EQ(queue.drain(Clock::now() + milliseconds(60000)), 0U);
  EXPECT_TRUE(queue.reserve());
}

TEST(SettlementQueueTest, AdmitsNobodyWhileWhatWaitsIsTooLarge) {
  SettlementQueue queue([](const Resolution&) { return ResolutionResult::later; },
                        bounds(100, 10000));
  queue.keep(settlement("h", 5000), std::move(*queue.reserve()));
  ASSERT_TRUE(queue.reserve());
  queue.keep(settlement("i", 6000), std::move(*queue.reserve()));
  EXPECT_FALSE(queue.reserve());
}

TEST(SettlementQueueTest, TriesAgainUntilItIsTakenAndLosesNone) {
  constexpr int kCalls = 50;
  std::atomic<int> attempts{0};
  std::atomic<int> taken{0};
  SettlementQueue queue(
      [&](const Resolution&) {
        if (++attempts % 3 != 0) return ResolutionResult::later;
        ++taken;
        return ResolutionResult::done;
      },
      bounds(kCalls));
  for (int i = 0; i < kCalls; ++i) {
    queue.keep(settlement(std::to_string(i)), std::move(*queue.reserve()));
  }
  EXPECT_EQ(queue.drain(Clock::now() + milliseconds(60000)), 0U);
  EXPECT_EQ(taken, kCalls);
}

TEST(SettlementQueueTest, WhatWaitsIsTriedAtOnceWhenTheDatabaseIsBack) {
  std::atomic<bool> is_back{false};
  std::promise<void> tried;
  std::promise<void> landed;
  SettlementBounds patient = bounds(10);
  patient.first_wait = patient.longest_wait = std::chrono::hours(1);
  SettlementQueue queue(
      [&](const Resolution&) {
        if (!is_back.exchange(true)) {
          tried.set_value();
          return ResolutionResult::later;
        }
        landed.set_value();
        return ResolutionResult::done;
      },
      patient);
  queue.keep(settlement("a"), std::move(*queue.reserve()));
  tried.get_future().wait();
  const auto done = landed.get_future();
  while (done.wait_for(milliseconds(1)) != std::future_status::ready)
    queue.retry_now();
  EXPECT_EQ(queue.drain(Clock::now() + milliseconds(60000)), 0U);
}

TEST(SettlementQueueTest, DrainEndsAtItsDeadlineAndCountsWhatIsLost) {
  std::promise<void> tried;
  std::atomic<bool> first{true};
  SettlementQueue queue(
      [&](const Resolution&) {
        if (first.exchange(false)) tried.set_value();
        return ResolutionResult::later;
      },
      bounds(10));
  queue.keep(settlement("a"), std::move(*queue.reserve()));
  Resolution release = settlement("b");
  release.kind = Resolution::Kind::release;
  queue.keep(std::move(release), std::move(*queue.reserve()));
  tried.get_future().wait();
  EXPECT_EQ(queue.drain(Clock::now()), 1U); // a hold that is not released expires by itself
}

TEST(SettlementQueueTest, RefusedForGoodIsNotTriedAgainButCounted) {
  std::atomic<int> attempts{0};
  SettlementQueue queue(
      [&](const Resolution&) {
        ++attempts;
        return ResolutionResult::refused;
      },
      bounds(10));
  queue.keep(settlement("a"), std::move(*queue.reserve()));
  EXPECT_EQ(queue.drain(Clock::now() + milliseconds(60000)), 1U);
  EXPECT_EQ(attempts, 1);
}

} // namespace
} // namespace holdfast::gateway
