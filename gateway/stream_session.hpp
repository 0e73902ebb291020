// A streamed answer on its way from the provider to the client.
#pragma once

#include "gateway/front_door.hpp"

namespace holdfast::gateway {

// Resolves a call whose provider failed: settled with what it may have charged, else released.
// Returns the caller's error.
HttpError failed_attempt(const RequestContext& context, GovernedCall& call, ErrorShape shape,
                         const ProviderError& error);

// Waits until the provider has begun to answer, and makes the response the stream. Throws HttpError
// when the provider does not begin.
void begin_stream(Services& services, RequestContext& context, std::unique_ptr<GovernedCall> call,
                  std::shared_ptr<FrontDoor> door, httplib::Response& response);

} // namespace holdfast::gateway
