#include "gateway/handler_messages.hpp"

#include "gateway/anthropic_format.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/front_door.hpp"
#include "gateway/json_read.hpp"
#include "gateway/json_text.hpp"
#include "gateway/providers/anthropic.hpp"
#include "gateway/request_json.hpp"
#include "gateway/routing_controls.hpp"
#include "gateway/stream_collector.hpp"

namespace holdfast::gateway {
namespace {

using nlohmann::json;

// Speaks Anthropic's messages JSON. What a stream cost comes in the member `holdfast` of its
// message_delta; clients that do not know the member skip it.
class MessagesDoor : public FrontDoor {
public:
  explicit MessagesDoor(std::string request_id) : request_id_(std::move(request_id)) {}

  ErrorShape shape() const override { return ErrorShape::anthropic; }

  std::string stored_body(const AnswerFacts& facts) const override {
    ChatAnswer answer = facts.answer;
    if (answer.id.empty()) answer.id = "msg_" + facts.request_id;
    if (answer.model.empty()) answer.model = facts.model;
    return dump_json(anthropic_format::write_answer(answer, facts.usage));
  }

  std::string sent_body(const std::string& stored,
                        const std::optional<std::string>&) const override {
    return stored;
  }

  std::string stream_event(const StreamEvent& event) override {
    if (!writer_) begin(event);
    return writer_->deltas(event);
  }

  std::string stream_end(const std::string&, const Usage& usage,
                         const std::optional<SettledCall>& settled) override {
    if (!writer_) begin({});
    const std::string blocks = writer_->finish();
    const json delta = {{"type", "message_delta"},
                        {"delta", {{"stop_reason", writer_->stop()}, {"stop_sequence", nullptr}}},
                        {"usage", anthropic_format::write_usage(usage)}};
    const std::string figures =
        ObjectText()
            .add_decimal("costUSD", settled ? settled->cost_usd : std::nullopt)
            .add_decimal("remainingUSD", settled ? settled->remaining_usd : std::nullopt)
            .text();
    return blocks +
           "event: message_delta\ndata: " + with_member(dump_json(delta), "holdfast", figures) +
           "\n\n" + anthropic_format::sse_event({{"type", "message_stop"}});
  }

  std::string stream_error(const HttpError& error, const std::string& request_id) override {
    return "event: error\ndata: " + error_body(error, ErrorShape::anthropic, request_id) + "\n\n";
  }

  std::string stream_replay(const std::string& stored,
                            const std::optional<std::string>& cost_usd) override {
    const provider::Anthropic reader;
    const auto read = reader.parse_chat({200, {}, stored});
    const auto* answer = std::get_if<ChatAnswer>(&read);
    if (answer == nullptr) throw std::runtime_error("a stored answer cannot be read");
    const std::string begun = stream_event(as_event(*answer));
    return begun +
           stream_end(stored, answer->usage.value_or(Usage{}), SettledCall{cost_usd, std::nullopt});
  }

private:
  void begin(const StreamEvent& first) {
    writer_.emplace(first.id.empty() ? "msg_" + request_id_ : first.id, first.model);
  }

  std::string request_id_;
  std::optional<anthropic_format::EventWriter> writer_;
};

void create_message(Services& services, RequestContext& context, const httplib::Request& request,
                    const std::string& body, httplib::Response& response) {
  const auto config = services.config.now();
  CallOrder order;
  order.controls = read_controls(request);
  order.cache = read_cache_wish(request);
  const json object = parse_request_object(body);
  auto parsed = anthropic_format::parse_client_request(
      object, {config->default_max_tokens, config->max_completion_tokens});
  if (const auto* error = std::get_if<anthropic_format::RequestError>(&parsed))
    throw HttpError(400, error->code, error->message, error->param);
  order.chat = std::move(std::get<ChatRequest>(parsed));
  order.fingerprint = request_fingerprint(request.method, request.path, object);
  const std::string user = json_read::text(order.chat.extra, "user");
  if (!user.empty() && !order.controls.user_id)
    order.controls.user_id = checked_user_id(user, "metadata.user_id");
  read_routing_headers(*config, request, order);
  split_model(*config, order);
  add_fallbacks(*config, order);
  auto door = std::make_shared<MessagesDoor>(context.request_id);
  serve_call(services, context, std::move(order), std::move(door), response);
}

} // namespace

std::vector<Route> messages_routes(Services& services) {
  return {{"POST", "/v1/messages",
           [&services](RequestContext& context, const httplib::Request& request,
                       const std::string& body, httplib::Response& response) {
             create_message(services, context, request, body, response);
           }}};
}

} // namespace holdfast::gateway
