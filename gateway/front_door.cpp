#include "gateway/front_door.hpp"

#include "gateway/attempts.hpp"
#include "gateway/model_drift.hpp"
#include "gateway/stream_collector.hpp"
#include "gateway/stream_session.hpp"

namespace holdfast::gateway {
namespace {

void replay(const StoredAnswer& stored, bool stream, FrontDoor& door, httplib::Response& response) {
  if (stored.status != 200) {
    replay_whole(stored, stored.body, response);
  } else if (stream) {
    replay_whole(stored, "", response);
    response.set_content(door.stream_replay(stored.body, stored.cost_usd), "text/event-stream");
  } else {
    replay_whole(stored, door.sent_body(stored.body, stored.cost_usd), response);
  }
}

void answer_whole(Services& services, RequestContext& context, GovernedCall& call, FrontDoor& door,
                  httplib::Response& response) {
  // The client may leave; the provider charges all the same, so its answer is waited for.
  const auto result = answer_of(call, [&services] { return services.cut.load(); });
  if (const auto* error = std::get_if<ProviderError>(&result)) {
    throw failed_attempt(context, call, door.shape(), *error);
  }
  const auto& answer = std::get<ChatAnswer>(result);
  call.note_began();
  call.counter().add(answer);
  call.note_answering_model(answer.model);
  if (call.config().refuse_drift && has_drifted(call.provider(), call.model(), answer.model)) {
    HttpError told = drift_error(call.provider(), call.model(), answer.model);
    const auto charged =
        call.settle(told.status, error_body(told, door.shape(), context.request_id));
    if (charged) add_cost_headers(*charged, told.headers);
    throw HttpError(told);
  }
  const std::string stored = door.stored_body({answer, call.counter().usage(), context.request_id,
                                               call.provider(), call.model(), context.elapsed_ms(),
                                               call.fallback_used(), call.routing_text()});
  const auto settled = call.settle(200, stored);
  response.status = 200;
  HeaderList headers;
  if (settled) add_cost_headers(*settled, headers);
  for (const auto& [name, value] : headers)
    response.set_header(name, value);
  response.set_content(door.sent_body(stored, settled ? settled->cost_usd : std::nullopt),
                       "application/json");
}

} // namespace

void add_cost_headers(const SettledCall& settled, HeaderList& headers) {
  if (settled.cost_usd) headers.emplace_back("X-Holdfast-Cost", *settled.cost_usd);
  if (settled.remaining_usd) headers.emplace_back("X-Holdfast-Remaining", *settled.remaining_usd);
}

void replay_whole(const StoredAnswer& stored, const std::string& body,
                  httplib::Response& response) {
  response.status = stored.status;
  response.set_header("Idempotent-Replay", "true");
  response.set_header("X-Holdfast-Cost", "0");
  response.set_content(body, "application/json");
}

void note_request(RequestContext& context, CallOrder& order) {
  context.organization_id = order.controls.key.organization_id;
  order.metadata["requestId"] = context.request_id;
  order.metadata["correlationId"] = context.correlation_id;
  order.metadata["route"] = context.route;
  order.metadata["stream"] = order.chat.stream;
}

void serve_call(Services& services, RequestContext& context, CallOrder order,
                std::shared_ptr<FrontDoor> door, httplib::Response& response) {
  const bool stream = order.chat.stream;
  note_request(context, order);
  auto opened = GovernedCall::open(services, context, std::move(order));
  if (const auto* stored = std::get_if<StoredAnswer>(&opened)) {
    replay(*stored, stream, *door, response);
    return;
  }
  auto call = std::move(std::get<std::unique_ptr<GovernedCall>>(opened));
  if (stream) {
    begin_stream(services, context, std::move(call), std::move(door), response);
  } else {
    answer_whole(services, context, *call, *door, response);
  }
}

} // namespace holdfast::gateway
