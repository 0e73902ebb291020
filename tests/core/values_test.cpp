#include "extension/core/json_object.hpp"
#include "extension/core/period.hpp"
#include "extension/core/uuid.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace holdfast {
namespace {

TEST(Period, StartsAtTheFirstDayOfItsWindow) {
  constexpr std::time_t kDay = 86400;
  constexpr std::time_t kEpoch = 946684800; // 2000-01-01
  for (std::int32_t day = -40000; day < 80000; ++day) {
    const std::time_t moment = kEpoch + day * kDay;
    std::tm utc{};
    ASSERT_NE(gmtime_r(&moment, &utc), nullptr);
    ASSERT_EQ(period_start(Period::month, day), day - (utc.tm_mday - 1)) << day;
    ASSERT_EQ(period_start(Period::week, day), day - (utc.tm_wday + 6) % 7) << day;
  }
  EXPECT_EQ(period_start(Period::day, 9000), 9000);
  EXPECT_EQ(period_start(Period::none, 9000), kNoPeriodStart);
}

TEST(Period, KnowsItsWords) {
  EXPECT_EQ(parse_period("month"), Period::month);
  EXPECT_EQ(parse_period("none"), Period::none);
  EXPECT_FALSE(parse_period("year").has_value());
  EXPECT_FALSE(parse_period("").has_value());
}

TEST(Uuid, OrdersByTime) {
  const std::array<std::uint8_t, 16> high = {255, 255, 255, 255, 255, 255, 255, 255,
                                             255, 255, 255, 255, 255, 255, 255, 255};
  const Uuid earlier = uuid_v7(1'700'000'000'000, high);
  const Uuid later = uuid_v7(1'700'000'000'001, {});
  EXPECT_LT(earlier, later);
  EXPECT_EQ(later.str(), "018bcfe5-6801-7000-8000-000000000000");
  EXPECT_EQ(earlier.str(), "018bcfe5-6800-7fff-bfff-ffffffffffff");
}

TEST(JsonObject, EscapesTextAndKeepsNumbersAsWritten) {
  EXPECT_EQ(JsonObject().str(), "{}");
  EXPECT_EQ(JsonObject()
                .text("a", "say \"hi\"\\\n\t\x01 \xc3\xa9")
                .number("b", "0.000000000000000001")
                .number("c", 7)
                .null("d")
                .str(),
            "{\"a\": \"say \\\"hi\\\"\\\\\\n\\u0009\\u0001 \xc3\xa9\", "
            "\"b\": 0.000000000000000001, \"c\": 7, \"d\": null}");
}

} // namespace
} // namespace holdfast
