#include "gateway/provider_news.hpp"

#include "gateway/log.hpp"
#include "gateway/model_drift.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

// A shorter exhaustion is over before another gateway would hear of it.
constexpr std::int64_t kShortestPauseMs = 1000;
constexpr std::int64_t kLongestRatePauseMs = 300000;
// Nobody says when an empty account is filled: it is asked again from time to time.
constexpr std::int64_t kQuotaPauseMs = 60000;
constexpr std::size_t kLongestModelName = 256;

void pause(Database& database, const std::string& provider, const std::string& model,
           std::int64_t for_ms, const char* reason) {
  if (for_ms < kShortestPauseMs) return;
  try {
    database.pause_provider(provider, model, std::min(for_ms, kLongestRatePauseMs), reason);
  } catch (const std::exception& error) {
    log_event(LogLevel::warning, "pause_failed", provider + ": " + error.what());
  }
}

} // namespace

void heed(Database& database, const Candidate& asked, const ProviderError& error) {
  if (error.error_class == ErrorClass::quota_exhausted)
    pause(database, asked.provider, "", kQuotaPauseMs, "quota_exhausted");
  else if (error.error_class == ErrorClass::rate_limit)
    heed(database, asked, error.retry_after_ms);
}

void heed(Database& database, const Candidate& asked, std::optional<int> exhausted_ms) {
  if (exhausted_ms) pause(database, asked.provider, asked.model, *exhausted_ms, "rate_limit");
}

bool is_its_own_fault(const ProviderError& error) {
  const ErrorClass kind = error.error_class;
  return kind == ErrorClass::overloaded || kind == ErrorClass::timeout ||
         kind == ErrorClass::network || kind == ErrorClass::server;
}

nlohmann::json answering_model(const Candidate& asked, const std::string& answered) {
  nlohmann::json members = nlohmann::json::object();
  // jsonb takes no NUL, and a settlement must not fail over a name.
  const bool plain =
      answered.size() <= kLongestModelName && answered.find('\0') == std::string::npos;
  if (answered.empty() || !plain) return members;
  members["answeredModel"] = answered;
  if (has_drifted(asked.provider, asked.model, answered)) members["modelDrift"] = true;
  return members;
}

} // namespace holdfast::gateway
