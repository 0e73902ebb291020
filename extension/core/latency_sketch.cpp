#include "extension/core/latency_sketch.hpp"

#include <algorithm>
#include <cmath>

namespace holdfast {

namespace {

constexpr double kGrowth =
    (1 + LatencySketch::kRelativeError) / (1 - LatencySketch::kRelativeError);

} // namespace

void LatencySketch::add(double milliseconds) {
  const double value =
      std::isnan(milliseconds) ? kLeastMs : std::clamp(milliseconds, kLeastMs, kMostMs);
  static const double scale = 1 / std::log(kGrowth);
  const auto bin = static_cast<int>(std::ceil(std::log(value) * scale));
  ++bins_[static_cast<std::size_t>(std::clamp(bin, 0, kBins - 1))];
  ++count_;
  sum_ += value;
}

void LatencySketch::add(const LatencySketch& other) {
  for (std::size_t i = 0; i < bins_.size(); ++i)
    bins_[i] += other.bins_[i];
  count_ += other.count_;
  sum_ += other.sum_;
}

double LatencySketch::percentile(double share) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1);
  std::uint64_t seen = 0;
  std::size_t bin = 0;
  for (; bin + 1 < bins_.size(); ++bin) {
    seen += bins_[bin];
    if (seen >= rank) break;
  }
  return 2 * std::pow(kGrowth, static_cast<double>(bin)) / (kGrowth + 1);
}

double LatencySketch::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

void RecentLatency::add(std::int64_t now, double milliseconds, bool ok) {
  const std::int64_t number = now / kSpan;
  Half& half = halves_[static_cast<std::size_t>(number % 2)];
  if (half.number != number) half = {number, {}};
  ++half.summary.calls;
  if (ok)
    half.summary.latency.add(milliseconds);
  else
    ++half.summary.errors;
}

RecentLatency::Summary RecentLatency::summary(std::int64_t now) const {
  const std::int64_t number = now / kSpan;
  Summary sum;
  for (const Half& half : halves_) {
    if (half.number < 0 || number - half.number > 1) continue;
    sum.latency.add(half.summary.latency);
    sum.calls += half.summary.calls;
    sum.errors += half.summary.errors;
  }
  return sum;
}

} // namespace holdfast
