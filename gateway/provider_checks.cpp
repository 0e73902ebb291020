#include "gateway/provider_checks.hpp"

#include "gateway/log.hpp"
#include "gateway/provider_exchange.hpp"

#include <exception>
#include <future>
#include <utility>
#include <vector>

namespace holdfast::gateway {
namespace {

constexpr int kStatusOk = 200;
constexpr int kStatusNotFound = 404;
constexpr int kStatusNotAllowed = 405;

TransportLimits limits() {
  TransportLimits limits;
  limits.connect_timeout_ms = 3000;
  limits.first_byte_timeout_ms = 5000;
  limits.idle_timeout_ms = 5000;
  limits.total_timeout_ms = 5000;
  limits.max_answer_bytes = 65536;
  return limits;
}

const char* status_of(ErrorClass error_class) {
  switch (error_class) {
  case ErrorClass::auth:
    return "unauthorized";
  case ErrorClass::rate_limit:
  case ErrorClass::quota_exhausted:
    return "limited";
  case ErrorClass::timeout:
  case ErrorClass::network:
    return "unreachable";
  default:
    return "failing";
  }
}

} // namespace

ProviderChecks::ProviderChecks(Transport& transport, const LiveConfig& config,
                               std::chrono::milliseconds fresh)
    : transport_(transport), config_(config), fresh_(fresh), worker_([this] { work(); }) {}

ProviderChecks::~ProviderChecks() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

std::map<std::string, ProviderCheck> ProviderChecks::known() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!wanted_ && Clock::now() >= next_round_) {
    wanted_ = true;
    changed_.notify_all();
  }
  return known_;
}

void ProviderChecks::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return wanted_ || stopping_; });
    if (stopping_) return;
    lock.unlock();
    std::map<std::string, ProviderCheck> found;
    try {
      found = ask_all();
    } catch (const std::exception& error) {
      log_event(LogLevel::warning, "provider_checks_failed", error.what());
    }
    lock.lock();
    known_ = std::move(found);
    next_round_ = Clock::now() + fresh_;
    wanted_ = false;
  }
}

std::map<std::string, ProviderCheck> ProviderChecks::ask_all() {
  const auto config = config_.now();
  std::vector<std::pair<std::string, std::future<ProviderCheck>>> asked;
  for (const ProviderConfig& provider : config->providers)
    if (provider::find_provider(provider.name)->adapter != nullptr)
      asked.emplace_back(provider.name, std::async(std::launch::async,
                                                   [this, &provider] { return ask(provider); }));
  std::map<std::string, ProviderCheck> found;
  for (auto& [name, check] : asked)
    found[name] = check.get();
  return found;
}

ProviderCheck ProviderChecks::ask(const ProviderConfig& config) {
  const provider::ProviderInfo& info = *provider::find_provider(config.name);
  const auto begun = Clock::now();
  Exchange exchange =
      start_exchange(transport_, info, config, info.adapter->health_request(config.api_key),
                     limits(), [this] { return stopping_.load(); });
  ProviderCheck check;
  const auto no_answer = exchange.wait_headers();
  check.at = Clock::now();
  check.latency_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(check.at - begun).count();
  if (no_answer) {
    check.status = status_of(no_answer->error_class);
  } else if (exchange.status() == kStatusOk) {
    check.status = "healthy"; // what it would list is not read
  } else if (exchange.status() == kStatusNotFound || exchange.status() == kStatusNotAllowed) {
    check.status = "reachable";
  } else {
    const auto answer = read_whole(exchange);
    const auto* whole = std::get_if<provider::HttpAnswer>(&answer);
    const ProviderError error =
        whole != nullptr ? info.adapter->parse_error(*whole) : std::get<ProviderError>(answer);
    check.status = status_of(error.error_class);
  }
  return check;
}

} // namespace holdfast::gateway
