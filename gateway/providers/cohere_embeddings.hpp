// Cohere's embeddings, v2.
#pragma once

#include "gateway/providers/embedding_adapter.hpp"

namespace holdfast::provider {

// Texts only, 96 at most; they are documents to search in, unless the request says otherwise.
class CohereEmbeddings : public EmbeddingAdapter {
public:
  std::optional<UnsupportedFeature> unsupported(const EmbeddingRequest& request) const override;
  HttpRequest request(const EmbeddingRequest& request, const std::string& api_key) const override;
  std::variant<EmbeddingAnswer, ProviderError> parse(const EmbeddingRequest& request,
                                                     const HttpAnswer& answer) const override;
};

} // namespace holdfast::provider
