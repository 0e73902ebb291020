#include "gateway/handler_chat.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/front_door.hpp"
#include "gateway/json_text.hpp"
#include "gateway/openai_format.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/request_json.hpp"
#include "gateway/routing_controls.hpp"
#include "gateway/stream_collector.hpp"

#include <ctime>
#include <set>

namespace holdfast::gateway {
namespace {

std::int64_t now_seconds() {
  return static_cast<std::int64_t>(std::time(nullptr));
}

// The event's text with one more member in its object.
std::string event_with_member(const std::string& event, std::string_view name,
                              const std::string& json_text) {
  const std::size_t end = event.find_last_not_of('\n');
  return with_member(std::string_view(event).substr(0, end + 1), name, json_text) + "\n\n";
}

// Speaks OpenAI's chat JSON. What a stream cost comes in the member `holdfast` of its last chunk,
// since it is not known when the headers go out; clients that do not know the member skip it.
class ChatDoor : public FrontDoor {
public:
  ChatDoor(std::string request_id, bool include_usage)
      : request_id_(std::move(request_id)), include_usage_(include_usage) {}

  ErrorShape shape() const override { return ErrorShape::openai; }

  std::string stored_body(const AnswerFacts& facts) const override {
    ChatAnswer answer = facts.answer;
    if (answer.id.empty()) answer.id = "chatcmpl-" + facts.request_id;
    if (answer.model.empty()) answer.model = facts.model;
    if (answer.created == 0) answer.created = now_seconds();
    answer.usage = facts.usage;
    return dump_json(openai_format::write_answer(answer));
  }

  std::string sent_body(const std::string& stored,
                        const std::optional<std::string>&) const override {
    return stored;
  }

  std::string stream_event(const StreamEvent& event) override {
    if (!writer_) begin(event);
    const std::string text = writer_->deltas(event);
    if (text.empty()) return {};
    // A chunk that may be the last waits for the next, or for the cost.
    bool may_be_last = false;
    for (const ChatDelta& delta : event.deltas) {
      may_be_last = may_be_last || !delta.finish_reason.empty();
    }
    std::string sent = std::move(waiting_);
    waiting_ = may_be_last ? text : "";
    return may_be_last ? sent : sent + text;
  }

  std::string stream_end(const std::string&, const Usage& usage,
                         const std::optional<SettledCall>& settled) override {
    if (!writer_) begin({});
    std::string sent = std::move(waiting_);
    waiting_.clear();
    const std::string figures =
        ObjectText()
            .add_decimal("costUSD", settled ? settled->cost_usd : std::nullopt)
            .add_decimal("remainingUSD", settled ? settled->remaining_usd : std::nullopt)
            .text();
    if (include_usage_) {
      sent += event_with_member(writer_->usage(usage), "holdfast", figures);
    } else if (!sent.empty()) {
      sent = event_with_member(sent, "holdfast", figures);
    }
    return sent + openai_format::ChunkWriter::done();
  }

  std::string stream_error(const HttpError& error, const std::string&) override {
    std::string sent = std::move(waiting_);
    waiting_.clear();
    return sent + openai_format::ChunkWriter::error({{"error", openai_error(error)}}) +
           openai_format::ChunkWriter::done();
  }

  std::string stream_replay(const std::string& stored,
                            const std::optional<std::string>& cost_usd) override {
    const auto body = parse_bounded_json(stored);
    const auto answer = body ? openai_format::parse_answer(*body) : std::nullopt;
    if (!answer) throw std::runtime_error("a stored answer cannot be read");
    const std::string begun = stream_event(as_event(*answer));
    return begun +
           stream_end(stored, answer->usage.value_or(Usage{}), SettledCall{cost_usd, std::nullopt});
  }

private:
  void begin(const StreamEvent& first) {
    writer_.emplace(first.id.empty() ? "chatcmpl-" + request_id_ : first.id, first.model,
                    first.created == 0 ? now_seconds() : first.created, include_usage_);
  }

  std::string request_id_;
  bool include_usage_;
  std::optional<openai_format::ChunkWriter> writer_;
  std::string waiting_;
};

void complete_chat(Services& services, RequestContext& context, const httplib::Request& request,
                   const std::string& body, httplib::Response& response) {
  const auto config = services.config.now();
  CallOrder order;
  order.controls = read_controls(request);
  order.cache = read_cache_wish(request);
  const nlohmann::json object = parse_request_object(body);
  auto parsed = openai_format::parse_client_request(
      object, {config->default_max_tokens, config->max_completion_tokens});
  if (const auto* error = std::get_if<openai_format::RequestError>(&parsed)) {
    throw HttpError(400, error->code.empty() ? "bad_value" : error->code, error->message,
                    error->param);
  }
  auto& asked = std::get<openai_format::ClientRequest>(parsed);
  order.chat = std::move(asked.chat);
  order.fingerprint = request_fingerprint(request.method, request.path, object);
  if (const auto user = optional_text(object, "user"); user && !order.controls.user_id) {
    order.controls.user_id = checked_user_id(*user, "user");
  }
  read_routing_headers(*config, request, order);
  split_model(*config, order);
  add_fallbacks(*config, order);
  auto door = std::make_shared<ChatDoor>(context.request_id, asked.include_usage);
  serve_call(services, context, std::move(order), std::move(door), response);
}

void list_models(Services& services, RequestContext& context, const httplib::Request& request,
                 httplib::Response& response) {
  const ApiKey key = read_key(request);
  context.organization_id = key.organization_id;
  services.database.authenticate_key(key.organization_id, key.hash);
  std::vector<std::string> providers;
  const auto config = services.config.now();
  for (const ProviderConfig& provider : config->providers) {
    providers.push_back(provider.name);
  }
  nlohmann::json models = nlohmann::json::array();
  std::set<std::string> seen;
  for (const PricedModel& model : services.database.list_models(providers)) {
    if (!seen.insert(model.model).second) continue;
    models.push_back(
        {{"id", model.model}, {"object", "model"}, {"created", 0}, {"owned_by", model.provider}});
  }
  response.set_content(dump_json({{"object", "list"}, {"data", std::move(models)}}),
                       "application/json");
}

} // namespace

std::vector<Route> chat_routes(Services& services) {
  return {
      {"POST", "/v1/chat/completions",
       [&services](RequestContext& context, const httplib::Request& request,
                   const std::string& body, httplib::Response& response) {
         complete_chat(services, context, request, body, response);
       }},
      {"GET", "/v1/models",
       [&services](RequestContext& context, const httplib::Request& request, const std::string&,
                   httplib::Response& response) {
         list_models(services, context, request, response);
       }},
  };
}

} // namespace holdfast::gateway
