// The seam to the providers' embeddings; like Adapter, without I/O, clock or state.
#pragma once

#include "gateway/embedding.hpp"
#include "gateway/providers/provider.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::provider {

class EmbeddingAdapter {
public:
  EmbeddingAdapter() = default;
  EmbeddingAdapter(const EmbeddingAdapter&) = delete;
  EmbeddingAdapter& operator=(const EmbeddingAdapter&) = delete;
  virtual ~EmbeddingAdapter() = default;

  // The first thing this request asks for that the provider cannot do. A hint (`input_type`,
  // `user`) is left out instead where it is not taken.
  virtual std::optional<UnsupportedFeature> unsupported(const EmbeddingRequest& request) const = 0;

  virtual HttpRequest request(const EmbeddingRequest& request,
                              const std::string& api_key) const = 0;

  // The answer of any status. One that has not a vector for each input is an error.
  virtual std::variant<EmbeddingAnswer, ProviderError> parse(const EmbeddingRequest& request,
                                                             const HttpAnswer& answer) const = 0;
};

// What a provider takes.
struct EmbeddingFeatures {
  std::size_t most_inputs = 2048;
  bool token_ids = true;
  bool dimensions = true;
};

std::optional<UnsupportedFeature> first_unsupported(const EmbeddingRequest& request,
                                                    const EmbeddingFeatures& features);

// A list of numbers, all finite as a float; nothing for anything else.
std::optional<std::vector<float>> read_vector(const nlohmann::json& numbers);

} // namespace holdfast::provider
