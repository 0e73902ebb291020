#include "gateway/answer_cache.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kRoom = 1 << 20;

TEST(AnswerCache, GivesWhatItKeeps) {
  AnswerCache cache(10, kRoom);
  EXPECT_EQ(cache.find("a"), nullptr);
  cache.keep("a", {"1", "first"});
  cache.keep("a", {"2", "second"});
  EXPECT_EQ(cache.find("a")->entry_id, "2");
  EXPECT_EQ(cache.find("a")->body, "second");
  EXPECT_EQ(cache.size(), 1U);
  cache.forget("a");
  EXPECT_EQ(cache.find("a"), nullptr);
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(AnswerCache, WhatWasUsedLongestAgoMakesRoom) {
  AnswerCache cache(2, kRoom);
  cache.keep("a", {"1", "x"});
  cache.keep("b", {"2", "x"});
  cache.find("a");
  cache.keep("c", {"3", "x"});
  EXPECT_NE(cache.find("a"), nullptr);
  EXPECT_EQ(cache.find("b"), nullptr);
  EXPECT_NE(cache.find("c"), nullptr);
}

TEST(AnswerCache, IsBoundedInBytes) {
  AnswerCache cache(1000, 10'000);
  for (int i = 0; i < 100; ++i) {
    cache.keep(std::to_string(i), {"id", std::string(1000, 'x')});
    EXPECT_LE(cache.bytes(), 10'000U);
  }
  EXPECT_GE(cache.size(), 5U);
  cache.keep("large", {"id", std::string(10'000, 'x')});
  EXPECT_EQ(cache.find("large"), nullptr);
  EXPECT_GE(cache.size(), 5U);
}

TEST(AnswerCache, CanBeLeftOut) {
  AnswerCache cache(0, 0);
  cache.keep("a", {"1", "x"});
  EXPECT_EQ(cache.find("a"), nullptr);
}

TEST(AnswerCache, WhatWasFoundOutlivesIt) {
  AnswerCache cache(1, kRoom);
  cache.keep("a", {"1", "x"});
  const auto found = cache.find("a");
  cache.keep("b", {"2", "y"});
  EXPECT_EQ(found->body, "x");
}

} // namespace
} // namespace holdfast::gateway
