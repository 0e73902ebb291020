// When a provider wants to be asked again.
#pragma once

#include "gateway/providers/provider.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::provider {

// When to come back, in milliseconds, at most a day: retry-after-ms, else Retry-After in seconds or
// as a date, else, for a 429, the providers' reset headers of what is used up, be they durations,
// seconds or moments. Moments count from the answer's own Date. Nothing when no header says.
std::optional<int> retry_after_ms(const HttpAnswer& answer);

// For how long the limits that the answer's headers call used up stay so, in milliseconds; nothing
// when none is. Of any status: an answer may be the last that the provider gives for now.
std::optional<int> exhausted_ms(const HttpAnswer& answer);

// A duration like `120ms`, `6m0s` or `2m59.56s`, in milliseconds rounded up.
std::optional<int> parse_duration_ms(std::string_view text);

// An HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`), in Unix seconds.
std::optional<std::int64_t> parse_http_date(std::string_view text);

// A moment like `2024-03-26T20:00:00Z` or `2024-03-26T22:00:00.5+02:00`, in Unix seconds, fractions
// cut off.
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

} // namespace holdfast::provider
