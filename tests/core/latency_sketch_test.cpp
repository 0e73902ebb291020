#include "extension/core/latency_sketch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace holdfast {
namespace {

double true_percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

TEST(LatencySketch, IsWithinItsRelativeError) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> usual(7, 1.2);
  std::uniform_real_distribution<double> even(1, 3'000'000);
  for (const bool skewed : {true, false}) {
    LatencySketch sketch;
    std::vector<double> values;
    for (int i = 0; i < 20'000; ++i) {
      const double value = skewed ? std::clamp(usual(random), 1.0, 3'600'000.0) : even(random);
      values.push_back(value);
      sketch.add(value);
    }
    for (const double share : {0.001, 0.5, 0.9, 0.95, 0.99, 1.0}) {
      const double truth = true_percentile(values, share);
      EXPECT_NEAR(sketch.percentile(share), truth, truth * LatencySketch::kRelativeError * 1.0001)
          << share;
    }
    double sum = 0;
    for (const double value : values)
      sum += value;
    EXPECT_NEAR(sketch.mean(), sum / 20'000, 1e-6 * sum / 20'000);
  }
}

TEST(LatencySketch, TakesWhatIsOutsideForTheNearest) {
  for (const double value : {-5.0, 0.0, 0.3, std::nan("")}) {
    LatencySketch sketch;
    sketch.add(value);
    EXPECT_NEAR(sketch.percentile(0.5), 1, 0.0101) << value;
  }
  LatencySketch sketch;
  sketch.add(1e12);
  EXPECT_NEAR(sketch.percentile(1), 3'600'000, 36'001);
}

TEST(LatencySketch, KnowsNothingWhenItIsEmpty) {
  EXPECT_EQ(LatencySketch().percentile(0.5), 0);
  EXPECT_EQ(LatencySketch().mean(), 0);
}

TEST(RecentLatency, ForgetsWhatIsTenMinutesOld) {
  constexpr std::int64_t kMinute = 60'000'000;
  RecentLatency recent;
  recent.add(1 * kMinute, 100, true);
  recent.add(4 * kMinute, 100, true);
  recent.add(6 * kMinute, 400, true);
  recent.add(6 * kMinute, 9'000, false); // a failure's time is no latency
  EXPECT_EQ(recent.summary(9 * kMinute).calls, 4U);
  EXPECT_EQ(recent.summary(9 * kMinute).errors, 1U);
  EXPECT_EQ(recent.summary(9 * kMinute).latency.count(), 3U);
  EXPECT_EQ(recent.summary(12 * kMinute).calls, 2U);
  EXPECT_EQ(recent.summary(20 * kMinute).calls, 0U);
  recent.add(20 * kMinute, 50, true);
  EXPECT_EQ(recent.summary(20 * kMinute).calls, 1U);
}

} // namespace
} // namespace holdfast
