#include "gateway/handler_generate.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/front_door.hpp"
#include "gateway/generate_format.hpp"
#include "gateway/json_text.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/request_json.hpp"
#include "gateway/routing_controls.hpp"

namespace holdfast::gateway {
namespace {

std::string sse_event(const std::string& name, const std::string& data) {
  return "event: " + name + "\ndata: " + data + "\n\n";
}

// Speaks the shapes of /api/ai. A stream is `delta` events, then `done` with the body that generate
// would answer, or `error`.
class GenerateDoor : public FrontDoor {
public:
  ErrorShape shape() const override { return ErrorShape::api; }

  std::string stored_body(const AnswerFacts& facts) const override {
    const auto& choices = facts.answer.choices;
    ObjectText body;
    body.add("success", true).add("requestId", facts.request_id);
    generate_format::write_choice(choices.empty() ? Choice{} : choices.front(), body);
    return body.add("usage", generate_format::write_usage(facts.usage))
        .add("latencyMs", facts.latency_ms)
        .add("provider", facts.provider)
        .add("model", facts.answer.model.empty() ? facts.model : facts.answer.model)
        .add("cached", false)
        .add("fallbackUsed", facts.fallback_used)
        .add_raw("routing", facts.routing)
        .text();
  }

  std::string sent_body(const std::string& stored,
                        const std::optional<std::string>& cost_usd) const override {
    return with_member(stored, "costUSD", decimal_json(cost_usd));
  }

  std::string cached_body(const std::string& stored, const RequestContext& context) const override {
    const auto members = object_members(stored);
    if (!members) throw std::runtime_error("a kept answer cannot be read");
    ObjectText body;
    for (const auto& [name, json] : *members) {
      if (name == "requestId")
        body.add(name, context.request_id);
      else if (name == "latencyMs")
        body.add(name, context.elapsed_ms());
      else if (name == "cached")
        body.add(name, true);
      else
        body.add_raw(name, json);
    }
    return body.text();
  }

  std::string stream_event(const StreamEvent& event) override {
    std::string events;
    for (const ChatDelta& delta : event.deltas)
      events += delta_event(generate_format::write_delta(delta));
    return events;
  }

  std::string stream_end(const std::string& stored, const Usage&,
                         const std::optional<SettledCall>& settled) override {
    const std::string body = sent_body(stored, settled ? settled->cost_usd : std::nullopt);
    const auto remaining = settled ? settled->remaining_usd : std::nullopt;
    return sse_event("done", with_member(body, "remainingUSD", decimal_json(remaining)));
  }

  std::string stream_error(const HttpError& error, const std::string& request_id) override {
    return sse_event("error", error_body(error, ErrorShape::api, request_id));
  }

  std::string stream_replay(const std::string& stored,
                            const std::optional<std::string>& cost_usd) override {
    const auto body = parse_bounded_json(stored);
    if (!body || !body->is_object()) throw std::runtime_error("a stored answer cannot be read");
    return delta_event(generate_format::delta_of_body(*body)) +
           stream_end(stored, {}, SettledCall{cost_usd, std::nullopt});
  }

private:
  static std::string delta_event(const nlohmann::json& delta) {
    return delta.is_null() ? "" : sse_event("delta", dump_json(delta));
  }
};

ChatRequest read_chat(const Config& config, const nlohmann::json& body) {
  auto parsed = generate_format::parse_client_request(
      body, {config.default_max_tokens, config.max_completion_tokens});
  if (const auto* error = std::get_if<openai_format::RequestError>(&parsed))
    throw HttpError(400, error->code, error->message, error->param);
  return std::move(std::get<ChatRequest>(parsed));
}

// Which provider is to be asked, and the model when none is named: the provider's default, or any
// provider's.
void choose(const Config& config, const nlohmann::json& body, CallOrder& order) {
  order.provider = optional_text(body, "provider");
  if (order.provider && !provider::find_provider(*order.provider)) {
    throw HttpError(400, "unknown_provider",
                    "The field provider names no provider that is known. GET /api/ai/providers "
                    "lists them.",
                    "provider");
  }
  if (order.provider && !find_provider_config(config, *order.provider)) {
    throw HttpError(422, "provider_not_configured",
                    "The provider " + *order.provider +
                        " has no key in this gateway. GET /api/ai/providers shows which have.",
                    "provider");
  }
  const auto model = optional_text(body, "model");
  if (model) {
    order.chat.model = *model;
    return;
  }
  if (!order.provider) return ask_any(config, order);
  order.chat.model = provider::find_provider(*order.provider)->default_model;
}

void read_controls_of_body(const nlohmann::json& body, Controls& controls) {
  if (const auto workflow = optional_text(body, "workflowId")) {
    merge_control(controls.workflow_id, checked_workflow_id(*workflow, "workflowId"), "workflowId");
  }
  if (const auto key = optional_text(body, "idempotencyKey")) {
    merge_control(controls.idempotency_key, checked_idempotency_key(*key, "idempotencyKey"),
                  "idempotencyKey");
  }
  if (const auto user = optional_text(body, "userId")) {
    const std::string id = checked_user_id(*user, "userId");
    if (!controls.user_id) controls.user_id = id;
  }
}

CallOrder read_order(const Config& config, const httplib::Request& request, const std::string& text,
                     bool stream) {
  CallOrder order;
  order.controls = read_controls(request);
  order.cache = read_cache_wish(request);
  nlohmann::json body = parse_request_object(text);
  read_controls_of_body(body, order.controls);
  read_cache_members(body, order.cache);
  order.chat = read_chat(config, body);
  order.chat.stream = stream;
  const std::string priority = optional_text(body, "priority").value_or("normal");
  if (priority != "low" && priority != "normal" && priority != "high") {
    throw HttpError(400, "bad_value", "The field priority must be low, normal or high.",
                    "priority");
  }
  order.metadata["priority"] = priority;
  read_routing_members(config, body, order);
  choose(config, body, order);
  add_fallbacks(config, order);
  body.erase("idempotencyKey"); // it may as well come as a header
  order.fingerprint = request_fingerprint(request.method, request.path, body);
  return order;
}

Route::Handler generate_handler(Services& services, bool stream) {
  return [&services, stream](RequestContext& context, const httplib::Request& request,
                             const std::string& body, httplib::Response& response) {
    CallOrder order = read_order(*services.config.now(), request, body, stream);
    serve_call(services, context, std::move(order), std::make_shared<GenerateDoor>(), response);
  };
}

} // namespace

std::vector<Route> generate_routes(Services& services) {
  return {{"POST", "/api/ai/generate", generate_handler(services, false)},
          {"POST", "/api/ai/stream", generate_handler(services, true)}};
}

} // namespace holdfast::gateway
