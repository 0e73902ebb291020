// What the providers' errors have in common: class by status, when to come back, no secrets.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/providers/provider.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::provider {

// The class of a status that is not 200, when the body says nothing more exact.
ErrorClass classify_status(int status);

// When to come back, in milliseconds, at most a day: retry-after-ms, else Retry-After in seconds or
// as a date (against the answer's own Date), else, for a 429, OpenAI's x-ratelimit-reset-* of what
// is used up. Nothing when no header says.
std::optional<int> retry_after_ms(const HttpAnswer& answer);

// A duration like `120ms`, `6m0s` or `2m59.56s`, in milliseconds rounded up.
std::optional<int> parse_duration_ms(std::string_view text);

// An HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`), in Unix seconds.
std::optional<std::int64_t> parse_http_date(std::string_view text);

// The text with every word that looks like an API key, or the masked rest of one, cut out.
std::string cut_keys(std::string_view text);

// The text with every occurrence of this secret cut out. Secrets under 8 bytes are left: they would
// tear ordinary words.
std::string cut_secret(std::string text, const std::string& secret);

// A message fit for an error: without keys, at most 1000 bytes.
std::string clean_message(std::string_view text);

// The error of a body that is not the provider's JSON: the status and the beginning of the text.
std::string unreadable_body_message(const HttpAnswer& answer);

} // namespace holdfast::provider
