#include "gateway/log.hpp"

#include "extension/core/redaction.hpp"
#include "gateway/request_context.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostMessageBytes = 2000;
constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

std::atomic<LogLevel> least_level{LogLevel::info};
std::atomic<bool> redacts{true};

std::string_view name_of(LogLevel level) {
  return kLevelNames.at(static_cast<std::size_t>(level));
}

} // namespace

std::optional<LogLevel> log_level_named(std::string_view name) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i)
    if (kLevelNames.at(i) == name) return static_cast<LogLevel>(i);
  return std::nullopt;
}

void set_log_level(LogLevel least) {
  least_level.store(least, std::memory_order_relaxed);
}

void set_log_redaction(bool redact) {
  redacts.store(redact, std::memory_order_relaxed);
}

std::string utc_timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> date{};
  const std::size_t size = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(millis));
  return std::string(date.data(), size) + fraction.data();
}

LogRecord::LogRecord(LogLevel level, std::string_view event)
    : is_wanted_(level >= least_level.load(std::memory_order_relaxed)) {
  if (!is_wanted_) return;
  line_.add("time", utc_timestamp()).add("level", name_of(level)).add("event", event);
}

LogRecord& LogRecord::of(const RequestContext& context) {
  if (!is_wanted_) return *this;
  line_.add("requestId", context.request_id).add("correlationId", context.correlation_id);
  if (!context.organization_id.empty()) line_.add("organizationId", context.organization_id);
  return *this;
}

LogRecord& LogRecord::add(std::string_view name, const nlohmann::json& value) {
  if (is_wanted_) line_.add(name, value);
  return *this;
}

LogRecord& LogRecord::add_decimal(std::string_view name,
                                  const std::optional<std::string>& decimal) {
  if (is_wanted_) line_.add_decimal(name, decimal);
  return *this;
}

LogRecord& LogRecord::message(std::string_view text) {
  if (!is_wanted_) return *this;
  const std::string_view told = text.substr(0, kMostMessageBytes);
  line_.add("message",
            redacts.load(std::memory_order_relaxed) ? redacted(told) : std::string(told));
  return *this;
}

void LogRecord::write() const {
  if (!is_wanted_) return;
  const std::string line = line_.text() + "\n";
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t n = ::write(STDERR_FILENO, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return; // a log that cannot be written has nowhere to say so
    written += static_cast<std::size_t>(n);
  }
}

void log_event(LogLevel level, std::string_view event, std::string_view message) {
  LogRecord(level, event).message(message).write();
}

void log_event(LogLevel level, std::string_view event, const RequestContext& context,
               std::string_view message) {
  LogRecord(level, event).of(context).message(message).write();
}

} // namespace holdfast::gateway
