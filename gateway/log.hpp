// The log: one JSON object a line on stderr. No bodies, no secrets.
#pragma once

#include "gateway/json_text.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::gateway {

struct RequestContext;

enum class LogLevel { debug, info, warning, error };

// debug, info, warning, error.
std::optional<LogLevel> log_level_named(std::string_view name);

// Records below it are left out from now on. Safe from any thread; info until it is called.
void set_log_level(LogLevel least);

// Whether messages are written as redacted() leaves them, which they are until this says otherwise.
void set_log_redaction(bool redact);

// The current time as `2026-01-31T12:34:56.789Z`.
std::string utc_timestamp();

// One record: time, level, event, and what is added. Nothing is done for one that is left out.
class LogRecord {
public:
  LogRecord(LogLevel level, std::string_view event);

  // The ids of the request that it is about.
  LogRecord& of(const RequestContext& context);
  LogRecord& add(std::string_view name, const nlohmann::json& value);
  LogRecord& add_decimal(std::string_view name, const std::optional<std::string>& decimal);
  // Free text, cut where it is long.
  LogRecord& message(std::string_view text);

  // Writes it in one system call, so that lines of many threads do not mix.
  void write() const;

private:
  bool is_wanted_;
  ObjectText line_;
};

// A record that is only a message.
void log_event(LogLevel level, std::string_view event, std::string_view message);
void log_event(LogLevel level, std::string_view event, const RequestContext& context,
               std::string_view message);

} // namespace holdfast::gateway
