// What the database tells of how calls go, asked at most once a second however many ask for it.
#pragma once

#include "gateway/database_status.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

namespace holdfast::gateway {

// As the database last told it. Without `is_alive` it did not answer, and there is no document.
struct Telemetry {
  bool is_alive = false;
  std::int64_t latency_ms = 0; // of asking
  std::string text;            // the document, numbers as they came
  nlohmann::json document = nlohmann::json::object();
};

class TelemetryCache {
public:
  explicit TelemetryCache(DatabasePool& pool) : database_(pool) {}

  // One caller asks the database; those who come meanwhile wait for it, those who come within a
  // second take what it got.
  std::shared_ptr<const Telemetry> now();

private:
  using Clock = std::chrono::steady_clock;
  std::shared_ptr<const Telemetry> ask();

  StatusDatabase database_;
  std::mutex mutex_;
  std::shared_ptr<const Telemetry> kept_;
  Clock::time_point asked_at_;
};

} // namespace holdfast::gateway
