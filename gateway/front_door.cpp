#include "gateway/front_door.hpp"

#include "gateway/attempts.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/cache_key.hpp"
#include "gateway/model_drift.hpp"
#include "gateway/prompt_text.hpp"
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
  if (settled) call.keep_in_cache(answer, stored);
  response.status = 200;
  HeaderList headers;
  if (settled) add_cost_headers(*settled, headers);
  for (const auto& [name, value] : headers)
    response.set_header(name, value);
  response.set_content(door.sent_body(stored, settled ? settled->cost_usd : std::nullopt),
                       "application/json");
}

// The same answer in each dialect is another entry.
std::string_view dialect_of(ErrorShape shape) {
  switch (shape) {
  case ErrorShape::openai:
    return "openai";
  case ErrorShape::anthropic:
    return "anthropic";
  case ErrorShape::api:
    break;
  }
  return "api";
}

CacheQuestion question_of(const CallOrder& order, const RequestContext& context) {
  CacheQuestion question;
  question.organization_id = order.controls.key.organization_id;
  question.key_hash = order.controls.key.hash;
  question.workflow_id = order.controls.workflow_id;
  question.user_id = order.controls.user_id;
  question.idempotency_key = order.controls.idempotency_key;
  if (question.idempotency_key) question.fingerprint = order.fingerprint;
  if (!context.client_ip.empty()) question.client_ip = context.client_ip;
  question.route = context.route;
  question.metadata_json = dump_json(order.metadata);
  return question;
}

// Looks for a kept answer; without one the order gets the flight that keeps its own.
std::optional<CachedAnswer> find_kept(Services& services, RequestContext& context, CallOrder& order,
                                      ErrorShape shape) {
  if (!services.cache.may_concern(order.controls.key.organization_id, order.cache))
    return std::nullopt;
  normalize_prompt(order.chat);
  if (!services.config.now()->audit) order.metadata["audit"] = false;
  const std::chrono::milliseconds most(services.config.now()->limits.total_timeout_ms);
  auto found = services.cache.find(question_of(order, context), cache_key(order, dialect_of(shape)),
                                   order.cache, context, most, services.cut);
  if (auto* answer = std::get_if<CachedAnswer>(&found)) return std::move(*answer);
  order.flight = std::move(std::get<std::shared_ptr<CacheFlight>>(found));
  if (order.flight) context.notices.emplace_back("X-Holdfast-Cache", "miss");
  return std::nullopt;
}

void give_kept(const CachedAnswer& kept, bool stream, RequestContext& context, FrontDoor& door,
               httplib::Response& response) {
  context.provider = kept.provider;
  context.model = kept.model;
  context.cost_usd = "0";
  response.status = 200;
  response.set_header("X-Holdfast-Cache", "hit");
  response.set_header("X-Holdfast-Cost", "0");
  if (kept.saved_usd) response.set_header("X-Holdfast-Saved", *kept.saved_usd);
  response.set_header("X-Holdfast-Provider", kept.provider);
  response.set_header("Age", std::to_string(kept.age_s));
  const std::string body = door.cached_body(kept.body, context);
  if (stream)
    response.set_content(door.stream_replay(body, "0"), "text/event-stream");
  else
    response.set_content(door.sent_body(body, "0"), "application/json");
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
  if (const auto kept = find_kept(services, context, order, door->shape()))
    return give_kept(*kept, stream, context, *door, response);
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
