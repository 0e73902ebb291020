// Server-sent events of a run or a batch, as they happen.
#pragma once

#include "gateway/governed_call.hpp"
#include "gateway/run_news.hpp"
#include "gateway/server.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace holdfast::gateway {

// What came of telling a client what is new.
enum class Told { more_to_come, all, nobody };

// Sends one event, or more; false when the client is gone.
using EventWriter = std::function<bool(const std::string&)>;

// What the client of `id` is told. `tell` is asked at each change, though not more often than
// `least_pause` says.
struct LiveEvents {
  std::string id;
  std::function<Told(const EventWriter&)> tell;
  std::chrono::milliseconds least_pause{0};
};

// Answers with the events until all is told, the client is gone or the gateway stops.
void send_live_events(Services& services, RunNews& news, RequestContext& context, LiveEvents events,
                      httplib::Response& response);

} // namespace holdfast::gateway
