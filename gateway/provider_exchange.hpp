// What every attempt at a provider does with the transport.
#pragma once

#include "gateway/call.hpp"
#include "gateway/providers/registry.hpp"

#include <functional>
#include <string>
#include <variant>

namespace holdfast::gateway {

// Sends the adapter's request below the provider's base URL.
Exchange start_exchange(Transport& transport, const provider::ProviderInfo& info,
                        const ProviderConfig& config, provider::HttpRequest request,
                        const TransportLimits& limits, std::function<bool()> client_gone);

// The whole answer, of any status.
std::variant<provider::HttpAnswer, ProviderError> read_whole(Exchange& exchange);

// The error with the provider's key cut out of its words.
ProviderError without_secret(ProviderError error, const std::string& api_key);

} // namespace holdfast::gateway
