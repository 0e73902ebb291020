#include "gateway/providers/openai_compatible.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/sse.hpp"

#include <utility>

namespace holdfast::provider {

namespace {

using nlohmann::json;

constexpr int kStatusOk = 200;

// An error object: message, type, code; any of them may be missing or of another type.
struct ErrorBody {
  std::string message;
  std::string type;
  std::string code;
};

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? dump_json(*found) : std::string();
}

// The `error` member of a body or chunk: an object, or just a sentence.
std::optional<ErrorBody> read_error(const json& body) {
  if (!body.is_object()) return std::nullopt;
  const auto found = body.find("error");
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return ErrorBody{found->get<std::string>(), {}, {}};
  if (!found->is_object()) return ErrorBody{};
  return ErrorBody{text_of(*found, "message"), text_of(*found, "type"), text_of(*found, "code")};
}

// The body's words are more exact than the status: a 429 may be an empty account.
ErrorClass classify(int status, const ErrorBody& error) {
  const auto is = [&](const char* word) { return error.code == word || error.type == word; };
  if (is("insufficient_quota") || is("billing_hard_limit_reached") || is("billing_not_active"))
    return ErrorClass::quota_exhausted;
  if (is("context_length_exceeded")) return ErrorClass::context_length;
  if (is("content_filter") || is("content_policy_violation")) return ErrorClass::content_filter;
  if (is("rate_limit_exceeded")) return ErrorClass::rate_limit;
  if (is("invalid_api_key")) return ErrorClass::auth;
  if (is("server_error") && status == kStatusOk) return ErrorClass::server;
  if (is("invalid_request_error") && status == kStatusOk) return ErrorClass::invalid_request;
  return classify_status(status);
}

ProviderError make_error(int status, const ErrorBody& body) {
  ProviderError error;
  error.error_class = classify(status, body);
  error.status = status;
  error.message = clean_message(body.message);
  error.code = clean_message(body.code.empty() ? body.type : body.code);
  return error;
}

ProviderError broken_answer(std::string message, bool maybe_charged) {
  ProviderError error;
  error.error_class = ErrorClass::server;
  error.status = kStatusOk;
  error.message = std::move(message);
  error.code = "invalid_answer";
  error.maybe_charged = maybe_charged;
  return error;
}

class OpenAiStreamParser : public StreamParser {
public:
  std::vector<StreamEvent> feed(std::string_view bytes) override {
    std::vector<StreamEvent> events;
    if (ended_) return events;
    std::vector<SseEvent> received;
    const bool readable = reader_.feed(bytes, received);
    for (const SseEvent& event : received)
      take(event, events);
    if (!readable) fail("The provider sent a stream event that is too large.", events);
    return events;
  }

  std::vector<StreamEvent> finish() override {
    std::vector<StreamEvent> events;
    if (ended_) return events;
    if (const std::optional<SseEvent> last = reader_.finish()) take(*last, events);
    fail("The provider ended the stream before it was complete.", events);
    return events;
  }

private:
  void take(const SseEvent& received, std::vector<StreamEvent>& events) {
    if (ended_) return;
    if (received.data == "[DONE]") {
      StreamEvent done;
      done.done = true;
      end_with(std::move(done), events);
      return;
    }
    const std::optional<json> chunk = parse_bounded_json(received.data);
    if (!chunk) {
      fail("The provider sent a stream event that is not JSON.", events);
    } else if (const std::optional<ErrorBody> error = read_error(*chunk)) {
      StreamEvent failed;
      failed.error = make_error(kStatusOk, *error);
      failed.error->maybe_charged = saw_chunk_;
      end_with(std::move(failed), events);
    } else if (std::optional<StreamEvent> event = openai_format::parse_chunk(*chunk)) {
      saw_chunk_ = true;
      events.push_back(std::move(*event));
    }
  }

  void fail(const char* message, std::vector<StreamEvent>& events) {
    if (ended_) return;
    StreamEvent failed;
    failed.error = broken_answer(message, /*maybe_charged=*/true);
    end_with(std::move(failed), events);
  }

  void end_with(StreamEvent event, std::vector<StreamEvent>& events) {
    ended_ = true;
    events.push_back(std::move(event));
  }

  SseReader reader_;
  bool saw_chunk_ = false;
  bool ended_ = false;
};

} // namespace

HttpRequest OpenAiCompatible::chat_request(const ChatRequest& request,
                                           const std::string& api_key) const {
  HttpRequest http;
  http.method = "POST";
  http.path = "/chat/completions";
  http.headers = {{"Content-Type", "application/json"},
                  {"Accept", request.stream ? "text/event-stream" : "application/json"},
                  {"Authorization", "Bearer " + api_key}};
  http.body = dump_json(openai_format::write_request(request, token_limit_field(request.model)));
  return http;
}

std::variant<ChatAnswer, ProviderError>
OpenAiCompatible::parse_chat(const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer), /*maybe_charged=*/true);
  if (const std::optional<ErrorBody> error = read_error(*body))
    return make_error(answer.status, *error);
  if (std::optional<ChatAnswer> parsed = openai_format::parse_answer(*body))
    return std::move(*parsed);
  return broken_answer("The provider answered with JSON that is no chat completion.",
                       /*maybe_charged=*/true);
}

ProviderError OpenAiCompatible::parse_error(const HttpAnswer& answer) const {
  const std::optional<json> body = parse_bounded_json(answer.body);
  const std::optional<ErrorBody> said = body ? read_error(*body) : std::nullopt;
  ProviderError error = make_error(answer.status, said.value_or(ErrorBody{}));
  if (error.message.empty()) error.message = unreadable_body_message(answer);
  if (error.error_class != ErrorClass::quota_exhausted)
    error.retry_after_ms = retry_after_ms(answer);
  return error;
}

std::unique_ptr<StreamParser> OpenAiCompatible::stream_parser() const {
  return std::make_unique<OpenAiStreamParser>();
}

openai_format::TokenLimitField
OpenAiCompatible::token_limit_field(const std::string& /*model*/) const {
  return openai_format::TokenLimitField::max_tokens;
}

} // namespace holdfast::provider
