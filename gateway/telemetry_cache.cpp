#include "gateway/telemetry_cache.hpp"

#include "gateway/bounded_json.hpp"

namespace holdfast::gateway {
namespace {

constexpr std::chrono::milliseconds kFresh{1000};

} // namespace

std::shared_ptr<const Telemetry> TelemetryCache::now() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (kept_ && Clock::now() - asked_at_ < kFresh) return kept_;
  kept_ = ask();
  asked_at_ = Clock::now();
  return kept_;
}

std::shared_ptr<const Telemetry> TelemetryCache::ask() {
  auto told = std::make_shared<Telemetry>();
  const auto begun = Clock::now();
  try {
    told->text = database_.telemetry();
    if (auto document = parse_bounded_json(told->text)) told->document = std::move(*document);
    told->is_alive = true;
  } catch (const DatabaseUnavailable&) {
    told->is_alive = false;
  } catch (const DatabaseError&) {
    told->is_alive = false;
  }
  told->latency_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun).count();
  return told;
}

} // namespace holdfast::gateway
