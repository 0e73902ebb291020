#pragma once

#include <array>
#include <cstdint>

namespace holdfast {

// How long calls took: percentiles of any number of measurements in a fixed place, as plain data.
//
// Measurements are counted in bins whose bounds grow by the factor g = (1 + a) / (1 - a): bin i
// holds what lies above g^(i-1) and up to g^i. Every bin is answered by 2 g^i / (g + 1), which is
// off by at most the share a of the true value at either bound: relative error a = 1 %. (This is
// the bound of DDSketch: Masson, Rim, Lee, PVLDB 12(12), 2019.) From 1 ms to 1 hour; what is below
// or above counts as the nearest.
class LatencySketch {
public:
  static constexpr double kRelativeError = 0.01;
  static constexpr double kLeastMs = 1;
  static constexpr double kMostMs = 3'600'000;

  void add(double milliseconds);
  void add(const LatencySketch& other);

  std::uint64_t count() const { return count_; }
  // The measurement of rank ceil(share * count), within the relative error; 0 when there is none.
  double percentile(double share) const;
  double mean() const; // exact

private:
  static constexpr int kBins = 760; // g^759 is above one hour

  std::array<std::uint32_t, kBins> bins_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

// Of the last ten minutes or so: two sketches, of which the older is forgotten when the newer has
// covered its time. `now` is in microseconds of a clock that never goes back.
class RecentLatency {
public:
  static constexpr std::int64_t kSpan = 300'000'000;

  void add(std::int64_t now, double milliseconds, bool ok);

  struct Summary {
    LatencySketch latency; // of the calls that went well
    std::uint64_t calls = 0;
    std::uint64_t errors = 0;
  };
  Summary summary(std::int64_t now) const;

private:
  struct Half {
    std::int64_t number = -1;
    Summary summary;
  };
  std::array<Half, 2> halves_{};
};

} // namespace holdfast
