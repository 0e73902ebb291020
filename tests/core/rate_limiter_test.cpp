#include "extension/core/rate_limiter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace holdfast {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr CooldownRules kNoCooldown{0, 0};
constexpr std::int64_t kTick = 16; // in which times are kept

// A limiter in memory of its own.
struct Limited {
  explicit Limited(std::size_t most_bytes = std::size_t{4} << 20)
      : memory(new char[RateLimiter::bytes_for(most_bytes)]),
        limiter(RateLimiter::make(memory.get(), most_bytes, {1, 2})) {}
  std::unique_ptr<char[]> memory;
  RateLimiter* limiter;

  LimitVerdict ask(const char* who, const Limit& limit, std::int64_t now, std::int64_t tokens = 0,
                   const CooldownRules& cooldown = kNoCooldown) {
    const LimitClaim claim{siphash({1, 2}, who), limit, true};
    return limiter->decide(&claim, 1, tokens, now, cooldown);
  }
  int admitted_of(int times, const char* who, const Limit& limit, std::int64_t now) {
    int admitted = 0;
    for (int i = 0; i < times; ++i)
      admitted += ask(who, limit, now).admitted ? 1 : 0;
    return admitted;
  }
};

TEST(RateLimiter, AdmitsTheLimitAndNotOneMore) {
  Limited limited;
  const Limit limit{100, -1, kMinute};
  for (int i = 0; i < 100; ++i) {
    const LimitVerdict verdict = limited.ask("ada", limit, i * kSecond / 10);
    ASSERT_TRUE(verdict.admitted);
    EXPECT_EQ(verdict.limit, 100);
    EXPECT_EQ(verdict.remaining, 99 - i);
  }
  const LimitVerdict refused = limited.ask("ada", limit, 30 * kSecond);
  EXPECT_FALSE(refused.admitted);
  EXPECT_EQ(refused.remaining, 0);
  EXPECT_NEAR(static_cast<double>(refused.retry_after), 30 * kSecond, kTick);
  EXPECT_TRUE(limited.ask("bob", limit, 30 * kSecond).admitted);
  // It slides: each leaves the window one minute after it came.
  EXPECT_FALSE(limited.ask("ada", limit, kMinute - kTick).admitted);
  EXPECT_TRUE(limited.ask("ada", limit, kMinute + kTick).admitted);
  EXPECT_FALSE(limited.ask("ada", limit, kMinute + kTick).admitted);
  EXPECT_EQ(limited.admitted_of(100, "ada", limit, kMinute + kSecond + kTick), 10);
}

TEST(RateLimiter, IsThenWhenItSaysToComeBack) {
  Limited limited;
  std::mt19937 random(3);
  const Limit limit{20, 5'000, kMinute};
  std::int64_t now = 0;
  for (int i = 0; i < 2'000; ++i) {
    const auto tokens = static_cast<std::int64_t>(random() % 900);
    const LimitVerdict verdict = limited.ask("ada", limit, now, tokens);
    if (!verdict.admitted) {
      ASSERT_GT(verdict.retry_after, 0);
      ASSERT_LE(verdict.retry_after, kMinute + 2 * kTick);
      ASSERT_FALSE(
          limited.ask("ada", limit, now + verdict.retry_after - 2 * kTick, tokens).admitted);
      now += verdict.retry_after;
      ASSERT_TRUE(limited.ask("ada", limit, now, tokens).admitted);
    }
    now += static_cast<std::int64_t>(random() % (3 * kSecond));
  }
}

// Against a list of all requests: in no span of a window's length are there more than the limit,
// and none is refused that would have fitted.
TEST(RateLimiter, AgreesWithAPlainList) {
  Limited limited;
  std::mt19937 random(11);
  struct Seen {
    std::int64_t at;
    std::int64_t tokens;
  };
  std::map<int, std::deque<Seen>> seen;
  const Limit limit{37, 20'000, kMinute};
  std::int64_t now = 0;
  int refused = 0;
  for (int i = 0; i < 60'000; ++i) {
    now += kTick * static_cast<std::int64_t>(random() % 4'000);
    const int who = static_cast<int>(random() % 25);
    const auto tokens = static_cast<std::int64_t>(random() % 1'200);
    std::deque<Seen>& list = seen[who];
    while (!list.empty() && now - list.front().at > kMinute)
      list.pop_front();
    std::int64_t sum = tokens;
    for (const Seen& each : list)
      sum += each.tokens;
    const bool fits = list.size() < 37 && sum <= 20'000;
    ASSERT_EQ(limited.ask(std::to_string(who).c_str(), limit, now, tokens).admitted, fits) << i;
    if (fits) list.push_back({now, tokens});
    refused += fits ? 0 : 1;
  }
  EXPECT_GT(refused, 5'000);
}

TEST(RateLimiter, CountsOnAllClaimsOrNone) {
  Limited limited;
  const LimitClaim claims[] = {{siphash({1, 2}, "user"), {5, -1, kMinute}, true},
                               {siphash({1, 2}, "ip"), {3, -1, kMinute}, true},
                               {siphash({1, 2}, "global"), {100, -1, kMinute}, false}};
  for (int i = 0; i < 3; ++i) {
    const LimitVerdict verdict = limited.limiter->decide(claims, 3, 0, 0, kNoCooldown);
    ASSERT_TRUE(verdict.admitted);
    EXPECT_EQ(verdict.claim, 1) << "the tightest is the ip";
    EXPECT_EQ(verdict.remaining, 2 - i);
  }
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(limited.limiter->decide(claims, 3, 0, 0, kNoCooldown).claim, 1);
  // The 50 that were refused count nowhere.
  EXPECT_EQ(limited.ask("user", {5, -1, kMinute}, 0).remaining, 1);
  EXPECT_EQ(limited.ask("global", {100, -1, kMinute}, 0).remaining, 96);
  // The first that refuses is named, not the fullest.
  EXPECT_TRUE(limited.ask("user", {5, -1, kMinute}, 0).admitted);
  EXPECT_EQ(limited.limiter->decide(claims, 3, 0, 0, kNoCooldown).claim, 0);
}

TEST(RateLimiter, CountsTokens) {
  Limited limited;
  const Limit limit{-1, 1'000, kMinute};
  EXPECT_TRUE(limited.ask("ada", limit, 0, 600).admitted);
  EXPECT_TRUE(limited.ask("ada", limit, 10 * kSecond, 400).admitted);
  const LimitVerdict refused = limited.ask("ada", limit, 20 * kSecond, 1);
  EXPECT_FALSE(refused.admitted);
  EXPECT_EQ(refused.unit, LimitUnit::tokens);
  EXPECT_EQ(refused.limit, 1'000);
  EXPECT_NEAR(static_cast<double>(refused.retry_after), 40 * kSecond, 2 * kTick);
  const LimitVerdict more = limited.ask("ada", limit, 20 * kSecond, 700);
  EXPECT_NEAR(static_cast<double>(more.retry_after), 50 * kSecond, 2 * kTick)
      << "both have to leave";
  EXPECT_FALSE(limited.ask("ada", limit, 200 * kSecond, 1'001).admitted) << "never fits";
  EXPECT_TRUE(limited.ask("ada", limit, 200 * kSecond, 1'000).admitted);
}

TEST(RateLimiter, NothingIsNothing) {
  Limited limited;
  EXPECT_FALSE(limited.ask("ada", {0, -1, kMinute}, 0).admitted);
  EXPECT_TRUE(limited.limiter->decide(nullptr, 0, 5, 0, kNoCooldown).admitted);
}

TEST(RateLimiter, ShutsRepeatOffendersOutForLongerAndLonger) {
  Limited limited;
  const Limit limit{5, -1, kMinute};
  const CooldownRules rules{kMinute, 4 * kMinute};
  std::int64_t now = 0;
  const auto offend = [&] {
    for (int i = 0; i < 6; ++i) {
      const LimitVerdict verdict = limited.ask("ada", limit, now, 0, rules);
      if (!verdict.admitted) return verdict;
    }
    return LimitVerdict();
  };
  EXPECT_LE(offend().retry_after, kMinute + kTick) << "the first time is only the window";
  EXPECT_LE(offend().retry_after, kMinute + kTick) << "the same offence goes on";
  for (const std::int64_t minutes : {1, 2, 4, 4}) {
    now += minutes == 1 ? kMinute + kSecond : kSecond;
    const LimitVerdict verdict = offend();
    ASSERT_FALSE(verdict.admitted);
    EXPECT_EQ(verdict.retry_after, std::max(minutes * kMinute, verdict.retry_after));
    EXPECT_GE(verdict.retry_after, minutes * kMinute);
    EXPECT_LE(verdict.retry_after, minutes * kMinute + kTick);
    now += minutes * kMinute - kSecond;
    const LimitVerdict shut = limited.ask("ada", limit, now, 0, rules);
    EXPECT_FALSE(shut.admitted);
    EXPECT_EQ(shut.unit, LimitUnit::cooldown);
    now += kSecond + kMinute;
  }
  now += 20 * kMinute; // forgiven
  EXPECT_LE(offend().retry_after, kMinute + kTick);
}

// A flood of new keys pushes an offender out of a small memory; it does not get a new window by it.
TEST(RateLimiter, GivesUpTheColdestAndLetsNoFloodThrough) {
  Limited limited(std::size_t{300} << 10);
  const Limit limit{10, -1, kMinute};
  ASSERT_EQ(limited.admitted_of(20, "ada", limit, 0), 10);
  const std::int64_t room = limited.limiter->figures().most_keys;
  for (std::int64_t i = 0; i < 2 * room; ++i)
    ASSERT_TRUE(limited.ask(("visitor " + std::to_string(i)).c_str(), limit, i * 10).admitted ||
                limited.limiter->figures().given_up > 0);
  EXPECT_GT(limited.limiter->figures().given_up, 0);
  EXPECT_LE(limited.limiter->figures().keys, room);
  EXPECT_EQ(limited.admitted_of(20, "ada", limit, kSecond), 0);
  // Given up once more, with a few refused in between; and free again after the window.
  for (std::int64_t i = 0; i < 2 * room; ++i)
    static_cast<void>(limited.ask(("stranger " + std::to_string(i)).c_str(), limit, 2 * kSecond));
  EXPECT_EQ(limited.admitted_of(20, "ada", limit, 3 * kSecond), 0);
  EXPECT_EQ(limited.admitted_of(20, "ada", limit, 3 * kMinute), 10);
}

TEST(RateLimiter, NeverAdmitsMoreThanTheLimitInATinyMemory) {
  Limited limited(1);
  std::mt19937 random(5);
  const Limit limit{40, -1, kMinute};
  const LimitClaim global{siphash({1, 2}, "global"), {3'000, -1, kMinute}, false};
  std::map<int, std::deque<std::int64_t>> admitted;
  std::deque<std::int64_t> all;
  std::int64_t now = 0;
  for (int i = 0; i < 60'000; ++i) {
    now += static_cast<std::int64_t>(random() % 20'000);
    const int who = static_cast<int>(random() % 400);
    const LimitClaim claims[] = {{siphash({1, 2}, std::to_string(who)), limit, true}, global};
    if (!limited.limiter->decide(claims, 2, 0, now, kNoCooldown).admitted) continue;
    for (std::deque<std::int64_t>* list : {&admitted[who], &all}) {
      list->push_back(now);
      while (now - list->front() > kMinute)
        list->pop_front();
    }
    ASSERT_LE(admitted[who].size(), 40U);
    ASSERT_LE(all.size(), 3'000U);
  }
  EXPECT_GT(limited.limiter->figures().given_up, 100);
}

TEST(RateLimiter, RemembersOverARestart) {
  constexpr std::size_t kBytes = std::size_t{2} << 20;
  Limited before(kBytes);
  const Limit limit{50, 10'000, kMinute};
  const CooldownRules rules{kMinute, kMinute};
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(before.ask("ada", limit, 1'000 * kSecond + i * kSecond, 100).admitted);
  static_cast<void>(before.admitted_of(60, "bob", limit, 1'000 * kSecond));
  std::unique_ptr<char[]> saved(new char[RateLimiter::bytes_for(kBytes)]);
  const std::int64_t wall = 5'000'000 * kSecond;
  const std::size_t bytes = before.limiter->save(saved.get(), 1'040 * kSecond, wall);

  // Another boot, another clock, another size; five seconds later.
  Limited after(kBytes / 4);
  const std::int64_t now = 7 * kSecond;
  ASSERT_TRUE(after.limiter->load(saved.get(), bytes, now, wall + 5 * kSecond));
  EXPECT_EQ(after.limiter->figures().keys, 2);
  const LimitVerdict verdict = after.ask("ada", limit, now, 0, rules);
  EXPECT_TRUE(verdict.admitted);
  EXPECT_EQ(verdict.remaining, 9);
  EXPECT_NEAR(static_cast<double>(verdict.reset), 15 * kSecond, 2 * kTick)
      << "the first came 45 s ago";
  EXPECT_FALSE(after.ask("bob", limit, now).admitted);
  EXPECT_FALSE(after.ask("ada", limit, now, 6'001).admitted);
  EXPECT_TRUE(after.ask("bob", limit, now + 16 * kSecond).admitted);

  for (const std::size_t cut : {std::size_t{0}, std::size_t{10}, bytes - 1}) {
    Limited empty(kBytes);
    EXPECT_FALSE(empty.limiter->load(saved.get(), cut, now, wall));
  }
  saved[bytes / 2] = static_cast<char>(~saved[bytes / 2]);
  Limited damaged(kBytes);
  EXPECT_FALSE(damaged.limiter->load(saved.get(), bytes, now, wall));
  EXPECT_EQ(damaged.limiter->figures().keys, 0);
}

} // namespace
} // namespace holdfast
