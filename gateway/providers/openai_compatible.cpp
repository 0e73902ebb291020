#include "gateway/providers/openai_compatible.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/sse_stream.hpp"
#include "gateway/providers/think_text.hpp"
#include "gateway/providers/translate.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace holdfast::provider {

namespace {

using nlohmann::json;

constexpr int kStatusOk = 200;

// What the model thought goes where other providers put it from the start.
void part_thoughts(Choice& choice) {
  if (!choice.reasoning.empty()) return;
  ThinkText text;
  const std::string content = std::exchange(choice.content, {});
  text.feed(content, choice.reasoning, choice.content);
  text.finish(choice.reasoning, choice.content);
}

bool has_failed_choice(const ChatAnswer& answer) {
  return std::any_of(answer.choices.begin(), answer.choices.end(),
                     [](const Choice& choice) { return choice.finish_reason == "error"; });
}

bool same_place(const Citation& a, const Citation& b) {
  return a.url == b.url && a.document_id == b.document_id && a.begin == b.begin && a.end == b.end;
}

} // namespace

class OpenAiCompatible::Stream : public SseStreamParser {
public:
  explicit Stream(const OpenAiCompatible& adapter)
      : adapter_(adapter), thinks_in_content_(adapter.dialect().thinks_in_content),
        always_marks_end_(adapter.dialect().always_marks_end) {}

protected:
  void take(const json& chunk, std::string_view text) override {
    if (const std::optional<ErrorBody> error = read_error_member(chunk))
      return take_error(chunk, text, *error);
    std::optional<StreamEvent> event = openai_format::parse_chunk(chunk);
    if (!event) return;
    begun_ = true;
    event->usage = adapter_.usage_of(chunk, text);
    add_citations(chunk, *event);
    for (ChatDelta& delta : event->deltas)
      if (!take_delta(delta)) return;
    emit(std::move(*event));
    if (adapter_.is_last_chunk(chunk)) done();
  }

  bool is_complete() const override {
    return !always_marks_end_ && !finished_.empty() &&
           std::all_of(finished_.begin(), finished_.end(),
                       [](const auto& choice) { return choice.second; });
  }

  void flush() override {
    StreamEvent rest;
    for (auto& [index, text] : thoughts_) {
      ChatDelta delta;
      delta.index = index;
      text.finish(delta.reasoning, delta.content);
      if (!delta.reasoning.empty() || !delta.content.empty())
        rest.deltas.push_back(std::move(delta));
    }
    if (!rest.deltas.empty()) emit(std::move(rest));
  }

private:
  // False when the delta says that its choice has failed.
  bool take_delta(ChatDelta& delta) {
    if (delta.finish_reason == "error") {
      fail(broken_answer("The provider failed while it answered."));
      return false;
    }
    bool& finished = finished_[delta.index];
    finished = finished || !delta.finish_reason.empty();
    if (thinks_in_content_ && delta.reasoning.empty()) {
      const std::string content = std::exchange(delta.content, {});
      ThinkText& text = thoughts_[delta.index];
      text.feed(content, delta.reasoning, delta.content);
      if (!delta.finish_reason.empty()) text.finish(delta.reasoning, delta.content);
    }
    return true;
  }

  // What the stream had used comes first, for the account.
  void take_error(const json& chunk, std::string_view text, const ErrorBody& said) {
    const std::optional<Usage> usage = adapter_.usage_of(chunk, text);
    if (usage) {
      StreamEvent used;
      used.id = json_read::text(chunk, "id");
      used.model = json_read::text(chunk, "model");
      used.usage = usage;
      emit(std::move(used));
    }
    ProviderError error = make_error(kStatusOk, said);
    adapter_.refine_error(chunk, error);
    error.maybe_charged = begun_ || usage.has_value();
    fail(std::move(error));
  }

  // Some providers repeat the whole list in each chunk.
  void add_citations(const json& chunk, StreamEvent& event) {
    if (event.deltas.empty()) return;
    for (Citation& citation : adapter_.citations_of(chunk)) {
      const bool known =
          std::any_of(citations_.begin(), citations_.end(),
                      [&](const Citation& other) { return same_place(other, citation); });
      if (known || citations_.size() >= kMaxCitations) continue;
      citations_.push_back(citation);
      event.deltas.front().citations.push_back(std::move(citation));
    }
  }

  static constexpr std::size_t kMaxCitations = 1000;

  const OpenAiCompatible& adapter_;
  bool thinks_in_content_;
  bool always_marks_end_;
  bool begun_ = false;
  std::map<int, bool> finished_;
  std::map<int, ThinkText> thoughts_;
  std::vector<Citation> citations_;
};

std::optional<UnsupportedFeature> OpenAiCompatible::unsupported(const ChatRequest& request) const {
  return first_unsupported(request, dialect().features);
}

HttpRequest OpenAiCompatible::chat_request(const ChatRequest& request,
                                           const std::string& api_key) const {
  const Dialect spoken = dialect();
  json body =
      openai_format::write_request(request, token_limit_field(request.model), spoken.extras);
  if (!spoken.stream_options) body.erase("stream_options");
  finish_body(body);

  HttpRequest http;
  http.method = "POST";
  http.path = "/chat/completions";
  http.headers = {{"Content-Type", "application/json"},
                  {"Accept", request.stream ? "text/event-stream" : "application/json"}};
  if (!api_key.empty()) http.headers.emplace_back("Authorization", "Bearer " + api_key);
  http.body = dump_json(body);
  return http;
}

HttpRequest OpenAiCompatible::health_request(const std::string& api_key) const {
  HttpRequest http = plain_get(health_path());
  if (!api_key.empty()) http.headers.emplace_back("Authorization", "Bearer " + api_key);
  return http;
}

std::variant<ChatAnswer, ProviderError>
OpenAiCompatible::parse_chat(const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer));
  if (const std::optional<ErrorBody> said = read_error_member(*body)) {
    ProviderError error = make_error(answer.status, *said);
    refine_error(*body, error);
    return error;
  }
  std::optional<ChatAnswer> parsed = openai_format::parse_answer(*body);
  if (!parsed) return broken_answer("The provider answered with JSON that is no chat completion.");
  if (has_failed_choice(*parsed)) return broken_answer("The provider failed while it answered.");
  parsed->usage = usage_of(*body, answer.body);
  if (dialect().thinks_in_content)
    std::for_each(parsed->choices.begin(), parsed->choices.end(), part_thoughts);
  std::vector<Citation>& citations = parsed->choices.front().citations;
  for (Citation& citation : citations_of(*body))
    citations.push_back(std::move(citation));
  return std::move(*parsed);
}

ProviderError OpenAiCompatible::parse_error(const HttpAnswer& answer) const {
  const std::optional<json> body = parse_bounded_json(answer.body);
  ProviderError error = error_of_answer(answer, body ? read_error_body(*body) : std::nullopt);
  if (body) refine_error(*body, error);
  return error;
}

std::unique_ptr<StreamParser> OpenAiCompatible::stream_parser() const {
  return std::make_unique<Stream>(*this);
}

openai_format::TokenLimitField
OpenAiCompatible::token_limit_field(const std::string& /*model*/) const {
  return openai_format::TokenLimitField::max_tokens;
}

std::string OpenAiCompatible::health_path() const {
  return "/models";
}

void OpenAiCompatible::finish_body(json& /*body*/) const {}

std::optional<Usage> OpenAiCompatible::usage_of(const json& body, std::string_view /*text*/) const {
  return openai_format::parse_usage(json_read::member(body, "usage"));
}

std::vector<Citation> OpenAiCompatible::citations_of(const json& /*body*/) const {
  return {};
}

bool OpenAiCompatible::is_last_chunk(const json& /*chunk*/) const {
  return false;
}

void OpenAiCompatible::refine_error(const json& /*body*/, ProviderError& /*error*/) const {}

} // namespace holdfast::provider
