#include "gateway/providers/embedding_adapter.hpp"

#include <cmath>

namespace holdfast::provider {

std::optional<UnsupportedFeature> first_unsupported(const EmbeddingRequest& request,
                                                    const EmbeddingFeatures& features) {
  if (request.size() > features.most_inputs) return UnsupportedFeature{"inputs", "input"};
  if (!request.tokens.empty() && !features.token_ids)
    return UnsupportedFeature{"token_ids", "input"};
  if (request.dimensions && !features.dimensions)
    return UnsupportedFeature{"dimensions", "dimensions"};
  return std::nullopt;
}

std::optional<std::vector<float>> read_vector(const nlohmann::json& numbers) {
  if (!numbers.is_array() || numbers.empty()) return std::nullopt;
  std::vector<float> vector;
  vector.reserve(numbers.size());
  for (const auto& number : numbers) {
    if (!number.is_number()) return std::nullopt;
    const auto value = static_cast<float>(number.get<double>());
    if (!std::isfinite(value)) return std::nullopt;
    vector.push_back(value);
  }
  return vector;
}

} // namespace holdfast::provider
