#include "gateway/live_config.hpp"

namespace holdfast::gateway {

LiveConfig::LiveConfig(Config config)
    : config_(std::make_shared<const Config>(std::move(config))) {}

std::shared_ptr<const Config> LiveConfig::now() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return config_;
}

void LiveConfig::replace(Config config) {
  auto next = std::make_shared<const Config>(std::move(config));
  const std::lock_guard<std::mutex> lock(mutex_);
  config_.swap(next);
}

} // namespace holdfast::gateway
