// Counters of this process, and their text for Prometheus.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::gateway {

// How long something took, counted in bins. Safe from any thread.
class Histogram {
public:
  static constexpr std::array<std::int64_t, 14> kBoundsMs = {
      1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 60000};
  void add(std::int64_t ms);

  // The samples `name`_bucket, _sum and _count, in seconds.
  void write(std::string& text, std::string_view name, std::string_view labels) const;

private:
  std::array<std::atomic<std::uint64_t>, kBoundsMs.size() + 1> bins_{};
  std::atomic<std::int64_t> sum_ms_{0};
};

// Figures by the value of one label, of which there are few; from `most` on they are put together
// under "other", so that no caller makes the list grow.
template <typename Figures>
class ByLabel {
public:
  explicit ByLabel(std::size_t most) : most_(most) {}

  Figures& of(const std::string& label) {
    {
      const std::shared_lock<std::shared_mutex> lock(mutex_);
      if (const auto found = all_.find(label); found != all_.end()) return *found->second;
    }
    const std::unique_lock<std::shared_mutex> lock(mutex_);
    const bool has_room = all_.size() < most_ || all_.count(label) > 0;
    auto& place = all_[has_room ? label : "other"];
    if (!place) place = std::make_unique<Figures>();
    return *place;
  }

  template <typename Reader>
  void read(Reader reader) const {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    for (const auto& [label, figures] : all_)
      reader(label, *figures);
  }

private:
  std::size_t most_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<Figures>> all_;
};

// What becomes of a request that the cache may answer: it hits or misses, and may have waited for
// another's answer before; and what becomes of the answer that a miss is given.
enum class CacheEvent { memory_hit, database_hit, miss, wait, kept, not_kept };
constexpr std::size_t kCacheEvents = 6;

// What the process counts. One for all of it, as the log is.
class Metrics {
public:
  // A request has been answered. `route` is that of the table of routes, never a path as it came.
  void count_request(const std::string& route, int status, std::int64_t ms);

  // An attempt at a provider has ended: "ok" or the class of its error. `first_byte_ms` below 0:
  // none came.
  void count_attempt(const std::string& provider, const std::string& outcome,
                     std::int64_t first_byte_ms);

  // A call was opened, denied, …, as the database decided.
  void count_opening(const std::string& outcome);

  void count_settlement(bool landed);

  void count_cache(CacheEvent event);
  std::uint64_t cache_count(CacheEvent event) const;

  // When the process began to count.
  std::chrono::system_clock::time_point started() const { return started_; }

  // What is counted, and the process's own figures, as samples with HELP and TYPE.
  std::string text() const;

private:
  void write_cache(std::string& text) const;

  static constexpr std::size_t kMostStatuses = 600;
  struct RouteFigures {
    std::array<std::atomic<std::uint64_t>, kMostStatuses> by_status{};
    Histogram duration;
  };
  struct ProviderFigures {
    ByLabel<std::atomic<std::uint64_t>> by_outcome{16};
    Histogram first_byte;
  };

  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  ByLabel<RouteFigures> routes_{128};
  ByLabel<ProviderFigures> providers_{32};
  ByLabel<std::atomic<std::uint64_t>> openings_{16};
  std::atomic<std::uint64_t> settlements_landed_{0};
  std::atomic<std::uint64_t> settlements_refused_{0};
  std::array<std::atomic<std::uint64_t>, kCacheEvents> cache_{};
};

Metrics& metrics();

// --- writing text -------------------------------------------------------------------------------

// The two lines before the samples of one metric.
void write_metric(std::string& text, std::string_view name, std::string_view type,
                  std::string_view help);
// name="value", with what must be escaped.
std::string metric_label(std::string_view name, std::string_view value);
void write_sample(std::string& text, std::string_view name, std::string_view labels,
                  std::string_view value);
// A metric that has one sample.
void write_single(std::string& text, std::string_view name, std::string_view type,
                  std::string_view help, std::string_view value);

} // namespace holdfast::gateway
