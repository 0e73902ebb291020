// What the providers' errors have in common: class by status, no secrets.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/providers/provider.hpp"

#include <string>
#include <string_view>

namespace holdfast::provider {

// The class of a status that is not 200, when the body says nothing more exact.
ErrorClass classify_status(int status);

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
