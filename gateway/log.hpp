// The log: one JSON object per line on stderr. No bodies, no secrets.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::gateway {

class ObjectText;

// The current time as `2026-01-31T12:34:56.789Z`.
std::string utc_timestamp();

// Writes one line in one system call, so that lines of many threads do not mix.
void log_line(const ObjectText& object);

// A line with time, `event` and `message`.
void log_event(std::string_view event, std::string_view message);

} // namespace holdfast::gateway
