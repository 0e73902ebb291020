#include "gateway/stream_session.hpp"

#include "gateway/attempts.hpp"
#include "gateway/json_text.hpp"
#include "gateway/log.hpp"
#include "gateway/model_drift.hpp"
#include "gateway/stream_collector.hpp"

namespace holdfast::gateway {
namespace {

constexpr int kGone = 410;

// The provider's own words are for operators; about a key it may quote the key.
void log_failed_attempt(const RequestContext& context, const std::string& provider,
                        const ProviderError& error) {
  const bool quotable = error.error_class != ErrorClass::auth;
  LogRecord(LogLevel::warning, "provider_failed")
      .of(context)
      .add("provider", provider)
      .add("class", error_class_name(error.error_class))
      .add("status", error.status)
      .add("maybeCharged", error.maybe_charged)
      .message(quotable ? error.message : std::string())
      .write();
}

// One stream: what came is passed on at once, and settled at its end, however it ends.
class StreamSession {
public:
  StreamSession(Services& services, RequestContext& context, std::unique_ptr<GovernedCall> call,
                BegunStream begun, std::shared_ptr<FrontDoor> door)
      : services_(services), context_(context), call_(std::move(call)),
        attempt_(std::move(begun.attempt)), first_(std::move(begun.first)), door_(std::move(door)) {
  }

  // Passes the whole stream on. False when the client is gone: the connection is then closed.
  bool run(httplib::DataSink& sink) {
    while (const auto event = next()) {
      call_->counter().add(*event);
      collector_.add(*event);
      if (event->error) return fail(*event->error, sink);
      if (call_->config().refuse_drift &&
          has_drifted(call_->provider(), call_->model(), event->model))
        return refuse_drift(event->model, sink);
      const std::string text = door_->stream_event(*event);
      if (!text.empty() && !sink.write(text.data(), text.size())) return abandon();
    }
    return finish(sink);
  }

private:
  std::optional<StreamEvent> next() {
    if (first_) return std::exchange(first_, std::nullopt);
    return attempt_->next();
  }

  bool finish(httplib::DataSink& sink) {
    attempt_.reset();
    call_->note_answering_model(collector_.answer().model);
    const Usage usage = call_->counter().usage();
    const std::string stored = door_->stored_body(
        {collector_.answer(), usage, context_.request_id, call_->provider(), call_->model(),
         context_.elapsed_ms(), call_->fallback_used(), call_->routing_text()});
    const auto settled = call_->settle(200, stored);
    if (settled) call_->keep_in_cache(collector_.answer(), stored);
    return send_last(door_->stream_end(stored, usage, settled), sink);
  }

  bool fail(const ProviderError& error, httplib::DataSink& sink) {
    attempt_.reset();
    call_->note_failed(error);
    if (error.error_class == ErrorClass::client_gone && !services_.cut) return abandon();
    log_failed_attempt(context_, call_->provider(), error);
    const HttpError told = error_from_provider(error, call_->provider());
    context_.error_code = told.code;
    settle_interrupted(told.message);
    return send_last(door_->stream_error(told, context_.request_id), sink);
  }

  // The first event tells the model: nothing of the answer has been passed on.
  bool refuse_drift(const std::string& model, httplib::DataSink& sink) {
    attempt_.reset();
    const HttpError told = drift_error(call_->provider(), call_->model(), model);
    context_.error_code = told.code;
    settle_interrupted(told.message);
    return send_last(door_->stream_error(told, context_.request_id), sink);
  }

  bool abandon() {
    attempt_.reset();
    context_.error_code = "client_gone";
    settle_interrupted("Its client went away.");
    return false;
  }

  // A repeat learns why there is no whole answer to give it.
  void settle_interrupted(const std::string& reason) {
    call_->note_answering_model(collector_.answer().model);
    const HttpError error(kGone, "interrupted",
                          "The first call with this Idempotency-Key broke off: " + reason +
                              " What it had used was charged; send a new key to make the call "
                              "again.");
    call_->settle(error.status, error_body(error, door_->shape(), context_.request_id));
  }

  bool send_last(const std::string& text, httplib::DataSink& sink) {
    if (!sink.write(text.data(), text.size())) {
      context_.error_code = "client_gone";
      return false;
    }
    sink.done();
    return true;
  }

  Services& services_;
  RequestContext& context_;
  std::unique_ptr<GovernedCall> call_;
  std::unique_ptr<ProviderCall> attempt_;
  std::optional<StreamEvent> first_;
  std::shared_ptr<FrontDoor> door_;
  StreamCollector collector_;
};

} // namespace

HttpError failed_attempt(const RequestContext& context, GovernedCall& call, ErrorShape shape,
                         const ProviderError& error) {
  log_failed_attempt(context, call.provider(), error);
  call.note_failed(error);
  HttpError told = error_from_provider(error, call.provider());
  if (!error.maybe_charged) {
    call.release(told.status);
    return told;
  }
  told.message += " What it may have used was charged as an estimate.";
  if (call.has_idempotency_key()) told.message += " Send a new Idempotency-Key to try again.";
  const auto settled = call.settle(told.status, error_body(told, shape, context.request_id));
  if (settled) add_cost_headers(*settled, told.headers);
  return told;
}

void begin_stream(Services& services, RequestContext& context, std::unique_ptr<GovernedCall> call,
                  std::shared_ptr<FrontDoor> door, httplib::Response& response) {
  auto begun = begin_stream_of(
      *call, [&services, &context] { return services.cut.load() || context.client_gone(); });
  if (const auto* error = std::get_if<ProviderError>(&begun)) {
    HttpError told = failed_attempt(context, *call, door->shape(), *error);
    if (error->error_class == ErrorClass::client_gone && !services.cut) {
      told = HttpError(499, "client_gone", "The client went away.");
    }
    throw told;
  }
  call->note_began();
  const auto session = std::make_shared<StreamSession>(
      services, context, std::move(call), std::get<BegunStream>(std::move(begun)), std::move(door));
  response.status = 200;
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");
  response.set_chunked_content_provider(
      "text/event-stream", [session, &context](std::size_t, httplib::DataSink& sink) {
        try {
          return session->run(sink);
        } catch (const std::exception& error) {
          // Nobody above can answer for it; the session settles as it is destroyed.
          log_event(LogLevel::error, "internal_error", context, error.what());
          context.error_code = "internal_error";
          return false;
        }
      });
}

} // namespace holdfast::gateway
