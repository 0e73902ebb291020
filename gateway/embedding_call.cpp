#include "gateway/embedding_call.hpp"

#include "gateway/provider_exchange.hpp"
#include "gateway/providers/retry_delay.hpp"
#include "gateway/providers/sandbox.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace holdfast::gateway {
namespace {

// 2048 vectors of 3072 dimensions take 34 MB in base64.
constexpr std::size_t kMaxAnswerBytes = 67108864;

std::variant<EmbeddingAnswer, ProviderError> receive(Exchange& exchange,
                                                     const EmbeddingRequest& request,
                                                     const provider::EmbeddingAdapter& adapter) {
  auto received = read_whole(exchange);
  if (auto* error = std::get_if<ProviderError>(&received)) return std::move(*error);
  auto parsed = adapter.parse(request, std::get<provider::HttpAnswer>(received));
  if (auto* answer = std::get_if<EmbeddingAnswer>(&parsed))
    if (answer->model.empty()) answer->model = request.model;
  return parsed;
}

} // namespace

EmbeddingAttempt embed(Transport& transport, const EmbeddingRequest& request,
                       const ProviderConfig& config, const TransportLimits& limits,
                       std::function<bool()> client_gone) {
  const provider::ProviderInfo* info = provider::find_provider(config.name);
  if (info != nullptr && info->adapter == nullptr)
    return {provider::sandbox::embed(request), std::nullopt};
  if (info == nullptr || info->embeddings == nullptr)
    throw std::invalid_argument("there is no provider '" + config.name + "' with embeddings");
  TransportLimits bounds = limits;
  bounds.max_answer_bytes = std::max(bounds.max_answer_bytes, kMaxAnswerBytes);
  Exchange exchange =
      start_exchange(transport, *info, config, info->embeddings->request(request, config.api_key),
                     bounds, std::move(client_gone));
  EmbeddingAttempt attempt{receive(exchange, request, *info->embeddings), std::nullopt};
  if (auto* error = std::get_if<ProviderError>(&attempt.result))
    *error = without_secret(std::move(*error), config.api_key);
  else
    attempt.exhausted_ms = provider::exhausted_ms({exchange.status(), exchange.headers(), {}});
  return attempt;
}

} // namespace holdfast::gateway
