// Gemini's embeddings, batchEmbedContents.
#pragma once

#include "gateway/providers/embedding_adapter.hpp"

namespace holdfast::provider {

// Texts only, 100 at most. The recorded answers count no tokens, and name no model.
class GeminiEmbeddings : public EmbeddingAdapter {
public:
  // `chat` knows the provider's errors; it must live as long.
  explicit GeminiEmbeddings(const Adapter& chat) : chat_(chat) {}

  std::optional<UnsupportedFeature> unsupported(const EmbeddingRequest& request) const override;
  HttpRequest request(const EmbeddingRequest& request, const std::string& api_key) const override;
  std::variant<EmbeddingAnswer, ProviderError> parse(const EmbeddingRequest& request,
                                                     const HttpAnswer& answer) const override;

private:
  const Adapter& chat_;
};

} // namespace holdfast::provider
