#include "gateway/log.hpp"

#include "gateway/json_text.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <unistd.h>

namespace holdfast::gateway {

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

void log_line(const ObjectText& object) {
  const std::string line = object.text() + "\n";
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t n = write(STDERR_FILENO, line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return; // a log that cannot be written has nowhere to say so
    written += static_cast<std::size_t>(n);
  }
}

void log_event(std::string_view event, std::string_view message) {
  log_line(ObjectText().add("time", utc_timestamp()).add("event", event).add("message", message));
}

} // namespace holdfast::gateway
