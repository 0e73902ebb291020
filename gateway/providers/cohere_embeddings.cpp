#include "gateway/providers/cohere_embeddings.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/translate.hpp"

#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

constexpr int kStatusOk = 200;
constexpr std::size_t kMostInputs = 96;

} // namespace

std::optional<UnsupportedFeature>
CohereEmbeddings::unsupported(const EmbeddingRequest& request) const {
  EmbeddingFeatures features;
  features.most_inputs = kMostInputs;
  features.token_ids = false;
  return first_unsupported(request, features);
}

HttpRequest CohereEmbeddings::request(const EmbeddingRequest& request,
                                      const std::string& api_key) const {
  const std::string type = request.input_type.empty() ? "search_document" : request.input_type;
  json body = {{"model", request.model},
               {"texts", request.texts},
               {"input_type", type},
               {"embedding_types", {"float"}}};
  if (request.dimensions) body["output_dimension"] = *request.dimensions;
  HttpRequest http = json_post("/v2/embed", false, body);
  http.headers.emplace_back("Authorization", "Bearer " + api_key);
  return http;
}

std::variant<EmbeddingAnswer, ProviderError>
CohereEmbeddings::parse(const EmbeddingRequest& request, const HttpAnswer& answer) const {
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (answer.status != kStatusOk)
    return error_of_answer(answer, body ? read_error_body(*body) : std::nullopt);
  if (!body) return broken_answer(unreadable_body_message(answer));
  const json& vectors = member(member(*body, "embeddings"), "float");
  if (!vectors.is_array() || vectors.size() != request.size())
    return broken_answer("The provider answered with another number of embeddings than inputs.");
  EmbeddingAnswer parsed;
  for (const json& numbers : vectors) {
    auto vector = read_vector(numbers);
    if (!vector)
      return broken_answer("The provider answered with an embedding that cannot be read.");
    parsed.vectors.push_back(std::move(*vector));
  }
  const json& billed = member(member(*body, "meta"), "billed_units");
  if (const auto tokens =
          json_read::whole_number(member(billed, "input_tokens"), json_read::kMaxTokenCount)) {
    parsed.usage.emplace();
    parsed.usage->prompt_tokens = *tokens;
  }
  return parsed;
}

} // namespace holdfast::provider
