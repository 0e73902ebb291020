#include "gateway/providers/openai_embeddings.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/openrouter.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/translate.hpp"

#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

constexpr int kStatusOk = 200;

json input_of(const EmbeddingRequest& request) {
  if (request.texts.empty()) return request.tokens;
  return request.texts;
}

// The vector of an entry, whichever form it has: a provider may not know the one it was asked for.
std::optional<std::vector<float>> vector_of(const json& entry) {
  const json& embedding = member(entry, "embedding");
  if (embedding.is_string()) return vector_of_base64(embedding.get_ref<const std::string&>());
  return read_vector(embedding);
}

} // namespace

std::optional<UnsupportedFeature>
OpenAiEmbeddings::unsupported(const EmbeddingRequest& request) const {
  return first_unsupported(request, dialect_.features);
}

HttpRequest OpenAiEmbeddings::request(const EmbeddingRequest& request,
                                      const std::string& api_key) const {
  json body = {{"model", request.model}, {"input", input_of(request)}};
  if (dialect_.base64) body["encoding_format"] = "base64";
  if (request.dimensions) body[dialect_.dimensions_member] = *request.dimensions;
  if (dialect_.user && !request.user.empty()) body["user"] = request.user;
  if (dialect_.input_type && !request.input_type.empty()) body["input_type"] = request.input_type;
  HttpRequest http = json_post("/embeddings", false, body);
  if (!api_key.empty()) http.headers.emplace_back("Authorization", "Bearer " + api_key);
  return http;
}

std::variant<EmbeddingAnswer, ProviderError>
OpenAiEmbeddings::parse(const EmbeddingRequest& request, const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return chat_.parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer));
  if (const auto said = read_error_member(*body)) return make_error(answer.status, *said);
  const json& data = member(*body, "data");
  if (!data.is_array() || data.size() != request.size())
    return broken_answer("The provider answered with another number of embeddings than inputs.");
  EmbeddingAnswer parsed;
  parsed.model = json_read::text(*body, "model");
  parsed.vectors.resize(data.size());
  for (std::size_t position = 0; position < data.size(); ++position) {
    const auto index = json_read::whole_number(member(data[position], "index"), 1000000);
    const auto at = index ? static_cast<std::size_t>(*index) : position;
    auto vector = vector_of(data[position]);
    if (!vector || at >= parsed.vectors.size() || !parsed.vectors[at].empty())
      return broken_answer("The provider answered with an embedding that cannot be read.");
    parsed.vectors[at] = std::move(*vector);
  }
  parsed.usage = usage_of(*body, answer.body);
  return parsed;
}

std::optional<Usage> OpenAiEmbeddings::usage_of(const json& body, std::string_view text) const {
  const json& counted = member(body, "usage");
  const auto prompt =
      json_read::whole_number(member(counted, "prompt_tokens"), json_read::kMaxTokenCount);
  if (!prompt) return std::nullopt;
  Usage usage;
  usage.prompt_tokens = *prompt;
  if (dialect_.reports_cost) usage.reported_cost_usd = openrouter_cost(counted, text);
  return usage;
}

} // namespace holdfast::provider
