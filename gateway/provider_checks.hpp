// Whether the active providers can be reached and take their keys: asked of them at no charge.
#pragma once

#include "gateway/live_config.hpp"
#include "gateway/transport.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace holdfast::gateway {

// What one provider was found to be: healthy; reachable (it answers, but has nothing that tells
// whether the key is good); unauthorized; limited; failing; unreachable.
struct ProviderCheck {
  std::string status;
  std::int64_t latency_ms = 0;
  std::chrono::steady_clock::time_point at;
};

// Asks when somebody wants to know and what is known is older than `fresh`; nobody waits for the
// answers. One thread, and a short-lived one for each provider while a round is on its way. Safe
// for use by many threads. Must not outlive the transport and the settings.
class ProviderChecks {
public:
  ProviderChecks(Transport& transport, const LiveConfig& config, std::chrono::milliseconds fresh);
  ~ProviderChecks();
  ProviderChecks(const ProviderChecks&) = delete;
  ProviderChecks& operator=(const ProviderChecks&) = delete;

  // What is known, by provider; a provider that has not been asked yet is missing.
  std::map<std::string, ProviderCheck> known();

private:
  using Clock = std::chrono::steady_clock;

  void work();
  std::map<std::string, ProviderCheck> ask_all();
  ProviderCheck ask(const ProviderConfig& config);

  Transport& transport_;
  const LiveConfig& config_;
  std::chrono::milliseconds fresh_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, ProviderCheck> known_;
  Clock::time_point next_round_;
  bool wanted_ = false;
  std::atomic<bool> stopping_{false};
  std::thread worker_;
};

} // namespace holdfast::gateway
