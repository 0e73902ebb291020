#include "gateway/providers/gemini_embeddings.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/gemini_request.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/translate.hpp"

#include <array>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

constexpr int kStatusOk = 200;
constexpr std::size_t kMostInputs = 100;

struct TaskType {
  std::string_view ours;
  const char* theirs;
};
constexpr std::array<TaskType, 4> kTaskTypes = {{{"search_document", "RETRIEVAL_DOCUMENT"},
                                                 {"search_query", "RETRIEVAL_QUERY"},
                                                 {"classification", "CLASSIFICATION"},
                                                 {"clustering", "CLUSTERING"}}};

} // namespace

std::optional<UnsupportedFeature>
GeminiEmbeddings::unsupported(const EmbeddingRequest& request) const {
  EmbeddingFeatures features;
  features.most_inputs = kMostInputs;
  features.token_ids = false;
  return first_unsupported(request, features);
}

HttpRequest GeminiEmbeddings::request(const EmbeddingRequest& request,
                                      const std::string& api_key) const {
  const std::string model = gemini_model_path(request.model);
  json requests = json::array();
  for (const std::string& text : request.texts) {
    json one = {{"model", model}, {"content", {{"parts", {{{"text", text}}}}}}};
    if (request.dimensions) one["outputDimensionality"] = *request.dimensions;
    for (const TaskType& type : kTaskTypes)
      if (type.ours == request.input_type) one["taskType"] = type.theirs;
    requests.push_back(std::move(one));
  }
  HttpRequest http =
      json_post("/" + model + ":batchEmbedContents", false, {{"requests", std::move(requests)}});
  http.headers.emplace_back("x-goog-api-key", api_key);
  return http;
}

std::variant<EmbeddingAnswer, ProviderError>
GeminiEmbeddings::parse(const EmbeddingRequest& request, const HttpAnswer& answer) const {
  if (answer.status != kStatusOk) return chat_.parse_error(answer);
  const std::optional<json> body = parse_bounded_json(answer.body);
  if (!body) return broken_answer(unreadable_body_message(answer));
  const json& embeddings = member(*body, "embeddings");
  if (!embeddings.is_array() || embeddings.size() != request.size())
    return broken_answer("The provider answered with another number of embeddings than inputs.");
  EmbeddingAnswer parsed;
  for (const json& embedding : embeddings) {
    auto vector = read_vector(member(embedding, "values"));
    if (!vector)
      return broken_answer("The provider answered with an embedding that cannot be read.");
    parsed.vectors.push_back(std::move(*vector));
  }
  const json& counted = member(member(*body, "usageMetadata"), "promptTokenCount");
  if (const auto tokens = json_read::whole_number(counted, json_read::kMaxTokenCount)) {
    parsed.usage.emplace();
    parsed.usage->prompt_tokens = *tokens;
  }
  return parsed;
}

} // namespace holdfast::provider
