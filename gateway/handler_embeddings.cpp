#include "gateway/handler_embeddings.hpp"

#include "gateway/attempts.hpp"
#include "gateway/embedding_format.hpp"
#include "gateway/front_door.hpp"
#include "gateway/model_drift.hpp"
#include "gateway/request_json.hpp"
#include "gateway/routing_controls.hpp"
#include "gateway/stream_session.hpp"

namespace holdfast::gateway {
namespace {

// What the price list must say of the model, so that no chat model is asked for vectors.
constexpr const char* kCapability = "embeddings";

CallOrder read_order(Services& services, const httplib::Request& request, const std::string& body) {
  const auto config = services.config.now();
  CallOrder order;
  order.controls = read_controls(request);
  const nlohmann::json object = parse_request_object(body);
  auto parsed = openai_format::parse_embedding_request(object);
  if (const auto* error = std::get_if<openai_format::RequestError>(&parsed))
    throw HttpError(400, error->code.empty() ? "bad_value" : error->code, error->message,
                    error->param);
  order.embedding = std::get<EmbeddingRequest>(std::move(parsed));
  if (order.embedding->model == kAnyModel)
    throw HttpError(400, "bad_value",
                    "Embeddings of different models cannot be compared, so the request must name "
                    "the model.",
                    "model");
  order.chat.model = order.embedding->model;
  order.fingerprint = request_fingerprint(request.method, request.path, object);
  if (!order.embedding->user.empty() && !order.controls.user_id)
    order.controls.user_id = checked_user_id(order.embedding->user, "user");
  read_routing_headers(*config, request, order);
  split_model(*config, order);
  add_fallbacks(*config, order);
  order.capabilities.emplace_back(kCapability);
  return order;
}

HttpError refused_drift(RequestContext& context, GovernedCall& call, const std::string& model) {
  HttpError told = drift_error(call.provider(), call.model(), model);
  const auto charged =
      call.settle(told.status, error_body(told, ErrorShape::openai, context.request_id));
  if (charged) add_cost_headers(*charged, told.headers);
  return told;
}

void answer(Services& services, RequestContext& context, GovernedCall& call, bool base64,
            httplib::Response& response) {
  const auto result = embeddings_of(call, [&services] { return services.cut.load(); });
  if (const auto* error = std::get_if<ProviderError>(&result))
    throw failed_attempt(context, call, ErrorShape::openai, *error);
  const auto& made = std::get<EmbeddingAnswer>(result);
  call.note_began();
  call.counter().add(made);
  call.note_answering_model(made.model);
  if (call.config().refuse_drift && has_drifted(call.provider(), call.model(), made.model))
    throw refused_drift(context, call, made.model);
  const std::string body = openai_format::write_embeddings(made, base64, call.counter().usage());
  // Vectors are long: they go to the database only where a repeat may ask for them.
  const auto settled = call.settle(200, call.has_idempotency_key() ? body : std::string());
  HeaderList headers;
  if (settled) add_cost_headers(*settled, headers);
  for (const auto& [name, value] : headers)
    response.set_header(name, value);
  response.set_content(body, "application/json");
}

void embed(Services& services, RequestContext& context, const httplib::Request& request,
           const std::string& body, httplib::Response& response) {
  CallOrder order = read_order(services, request, body);
  const bool base64 = order.embedding->base64;
  note_request(context, order);
  auto opened = GovernedCall::open(services, context, std::move(order));
  if (const auto* stored = std::get_if<StoredAnswer>(&opened)) {
    replay_whole(*stored, stored->body, response);
    return;
  }
  answer(services, context, *std::get<std::unique_ptr<GovernedCall>>(opened), base64, response);
}

} // namespace

std::vector<Route> embedding_routes(Services& services) {
  return {{"POST", "/v1/embeddings",
           [&services](RequestContext& context, const httplib::Request& request,
                       const std::string& body, httplib::Response& response) {
             embed(services, context, request, body, response);
           }}};
}

} // namespace holdfast::gateway
