// What the routes that begin runs share.
#pragma once

#include "gateway/database_runs.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/http_error.hpp"
#include "gateway/http_library.hpp"
#include "gateway/run_news.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

namespace holdfast::gateway {

// Who asks, by the request's key. Throws HttpError.
Caller caller_of(RequestContext& context, const httplib::Request& request);

// A member of the body. Throws HttpError 400 for anything but true and false.
bool optional_flag(const nlohmann::json& body, const char* name, bool otherwise);

// How long a caller waits for the end of what it begins: `wait`, `waitMs`. Throws HttpError 400.
std::chrono::milliseconds wait_of(const nlohmann::json& body);

// Waits until the run has ended or waits for a person, the client leaves or the gateway stops.
RunView wait_for_run(Services& services, RunDatabase& runs, RunNews& news, const Caller& caller,
                     const std::string& run_id, const RequestContext& context,
                     std::chrono::milliseconds most);

// A run, or a batch of them, that a budget has refused: 402. `id_member` names what is on record.
HttpError denied_run(const StartedRun& started, const char* id_member);

} // namespace holdfast::gateway
