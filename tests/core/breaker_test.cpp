#include "extension/core/breaker.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kFast = 1 * kSecond;
constexpr std::int64_t kSlow = 6 * kSecond;

// What happens at a moment, and the state that is seen right after it.
struct Step {
  std::int64_t second;
  enum { good, bad, slow, look } what;
  int times;
  BreakerState then;
};

void walk(const char* story, const std::vector<Step>& steps) {
  Breaker breaker;
  const BreakerRules rules;
  int number = 0;
  for (const Step& step : steps) {
    const std::int64_t now = step.second * kSecond;
    for (int i = 0; i < step.times && step.what != Step::look; ++i)
      breaker.report(now, rules, step.what != Step::bad, step.what == Step::slow ? kSlow : kFast,
                     0);
    EXPECT_EQ(std::string(name_of(breaker.state(now, rules))), name_of(step.then))
        << story << ", step " << number;
    ++number;
  }
}

TEST(Breaker, OpensAboveTheThresholdInItsWindow) {
  constexpr auto kClosed = BreakerState::closed;
  constexpr auto kOpen = BreakerState::open;
  constexpr auto kHalf = BreakerState::half_open;
  walk("too few calls", {{1, Step::bad, 9, kClosed}});
  walk("the tenth failure", {{1, Step::bad, 10, kOpen}});
  walk("half of them is not above half",
       {{1, Step::good, 10, kClosed}, {2, Step::bad, 10, kClosed}});
  walk("one more than half", {{1, Step::good, 10, kClosed}, {2, Step::bad, 11, kOpen}});
  walk("slow calls alone", {{1, Step::slow, 10, kOpen}});
  walk("most are slow or failed, but neither alone",
       {{1, Step::good, 6, kClosed}, {1, Step::slow, 5, kClosed}, {1, Step::bad, 5, kClosed}});
  walk("failures that are out of the window",
       {{1, Step::bad, 9, kClosed}, {62, Step::bad, 9, kClosed}});
  walk("failures that are still in it", {{6, Step::bad, 9, kClosed}, {59, Step::bad, 1, kOpen}});
  walk("open for a minute, then trials",
       {{1, Step::bad, 10, kOpen}, {60, Step::look, 0, kOpen}, {61, Step::look, 0, kHalf}});
  walk("late reports of calls from before do not matter",
       {{1, Step::bad, 10, kOpen}, {2, Step::good, 50, kOpen}, {61, Step::bad, 50, kHalf}});
}

// A breaker that opened at second 0 and is asked again after its minute.
class OpenBreaker : public ::testing::Test {
protected:
  OpenBreaker() {
    for (int i = 0; i < 10; ++i)
      breaker.report(0, rules, false, kFast, 0);
  }
  std::int64_t admit(std::int64_t second) {
    const Breaker::Admission admission = breaker.admit(second * kSecond, rules);
    EXPECT_EQ(admission.admitted, admission.trial > 0);
    return admission.trial;
  }
  void report(std::int64_t second, std::int64_t trial, bool ok, std::int64_t latency = kFast) {
    breaker.report(second * kSecond, rules, ok, latency, trial);
  }
  BreakerState state(std::int64_t second) { return breaker.state(second * kSecond, rules); }

  Breaker breaker;
  BreakerRules rules;
};

TEST_F(OpenBreaker, SaysHowLongToWait) {
  const Breaker::Admission admission = breaker.admit(20 * kSecond, rules);
  EXPECT_FALSE(admission.admitted);
  EXPECT_EQ(admission.state, BreakerState::open);
  EXPECT_EQ(admission.retry_after, 40 * kSecond);
  EXPECT_EQ(breaker.times_opened(), 1);
}

TEST_F(OpenBreaker, LetsExactlyThreeThrough) {
  EXPECT_EQ(admit(59), 0);
  for (int i = 0; i < 3; ++i)
    EXPECT_GT(admit(60), 0);
  EXPECT_EQ(breaker.trials_out(60 * kSecond, rules), 3);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(admit(61), 0);
  EXPECT_EQ(breaker.retry_after(61 * kSecond, rules), 119 * kSecond);
}

TEST_F(OpenBreaker, ClosesAfterThreeGoodTrials) {
  std::vector<std::int64_t> trials = {admit(60), admit(60), admit(60)};
  report(61, trials[2], true);
  report(62, trials[0], true);
  report(62, trials[0], true); // told twice
  EXPECT_EQ(state(62), BreakerState::half_open);
  EXPECT_EQ(admit(62), 0) << "the third is still out";
  report(63, trials[1], true);
  EXPECT_EQ(state(63), BreakerState::closed);
  EXPECT_TRUE(breaker.admit(63 * kSecond, rules).admitted);
  EXPECT_EQ(breaker.counts(63 * kSecond, rules).calls, 0);
}

TEST_F(OpenBreaker, OpensAgainAtTheFirstBadTrial) {
  for (const bool slow : {false, true}) {
    const std::int64_t from = slow ? 200 : 60;
    const std::int64_t first = admit(from);
    const std::int64_t second = admit(from);
    report(from + 1, first, true);
    report(from + 2, second, slow, slow ? kSlow : kFast);
    EXPECT_EQ(state(from + 2), BreakerState::open);
    EXPECT_EQ(state(from + 61), BreakerState::open) << "a whole minute anew";
    EXPECT_EQ(state(from + 62), BreakerState::half_open);
  }
  EXPECT_EQ(breaker.times_opened(), 3);
}

TEST_F(OpenBreaker, ALostTrialMakesRoom) {
  const std::int64_t lost = admit(60);
  const std::int64_t second = admit(60);
  const std::int64_t third = admit(60);
  report(61, second, true);
  report(61, third, true);
  EXPECT_EQ(admit(179), 0);
  const std::int64_t next = admit(180);
  EXPECT_GT(next, 0);
  report(181, lost, false); // it was given up: its late word counts no more
  EXPECT_EQ(state(181), BreakerState::half_open);
  report(182, next, true);
  EXPECT_EQ(state(182), BreakerState::closed);
}

TEST_F(OpenBreaker, ATrialThatWasGivenBackMakesRoom) {
  const std::int64_t first = admit(60);
  EXPECT_GT(admit(60), 0);
  EXPECT_GT(admit(60), 0);
  breaker.give_back(first);
  EXPECT_GT(admit(60), 0);
  EXPECT_EQ(admit(60), 0);
}

TEST_F(OpenBreaker, ATrialOfAnEarlierRoundCountsNoMore) {
  const std::int64_t early = admit(60);
  report(61, admit(60), false); // open again
  const std::int64_t now = admit(121);
  report(122, early, false);
  EXPECT_EQ(state(122), BreakerState::half_open);
  report(122, now, true);
  report(122, early, true);
  EXPECT_EQ(state(122), BreakerState::half_open);
}

} // namespace
} // namespace holdfast
