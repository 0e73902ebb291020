#include "gateway/live_events.hpp"

#include "gateway/log.hpp"

#include <memory>
#include <thread>
#include <utility>

namespace holdfast::gateway {
namespace {

using Clock = std::chrono::steady_clock;

// A client's or the gateway's end is noticed by then.
constexpr std::chrono::milliseconds kNewsSlice{500};
constexpr auto kBeatEvery = std::chrono::seconds(15);

class LiveStream {
public:
  LiveStream(Services& services, RunNews& news, RequestContext& context, LiveEvents events)
      : services_(services), context_(context), events_(std::move(events)),
        watch_(news, events_.id) {}

  // False when the client is gone.
  bool run(httplib::DataSink& sink) {
    const EventWriter write = [&](const std::string& text) {
      return sink.write(text.data(), text.size());
    };
    auto next_beat = Clock::now() + kBeatEvery;
    while (!services_.stopping) {
      const Told told = events_.tell(write);
      if (told == Told::nobody) return gone();
      if (told == Told::all) break;
      const auto next_look = Clock::now() + events_.least_pause;
      watch_.wait(kNewsSlice);
      std::this_thread::sleep_until(next_look);
      if (context_.client_gone()) return gone();
      if (Clock::now() < next_beat) continue;
      next_beat = Clock::now() + kBeatEvery;
      if (!write(": still running\n\n")) return gone();
    }
    sink.done();
    return true;
  }

private:
  bool gone() {
    context_.error_code = "client_gone";
    return false;
  }

  Services& services_;
  RequestContext& context_;
  LiveEvents events_;
  RunNews::Watch watch_;
};

} // namespace

void send_live_events(Services& services, RunNews& news, RequestContext& context, LiveEvents events,
                      httplib::Response& response) {
  // Stops EventSource and proxies from keeping or collecting events.
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");
  const auto stream = std::make_shared<LiveStream>(services, news, context, std::move(events));
  response.set_chunked_content_provider(
      "text/event-stream", [stream, &context](std::size_t, httplib::DataSink& sink) {
        try {
          return stream->run(sink);
        } catch (const std::exception& error) {
          // The client connects anew, with the last event that it has.
          log_event(LogLevel::warning, "live_events_failed", context, error.what());
          context.error_code = "internal_error";
          return false;
        }
      });
}

} // namespace holdfast::gateway
