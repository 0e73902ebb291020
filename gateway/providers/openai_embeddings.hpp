// The embeddings of all that speak OpenAI's API.
#pragma once

#include "gateway/providers/embedding_adapter.hpp"

namespace holdfast::provider {

class OpenAiEmbeddings : public EmbeddingAdapter {
public:
  // Where a dialect differs from OpenAI's.
  struct Dialect {
    EmbeddingFeatures features;
    // Vectors are asked for in base64, a third of the bytes; else as they come unasked.
    bool base64 = true;
    const char* dimensions_member = "dimensions";
    bool user = true;
    bool input_type = false;
    // Usage names what the call cost.
    bool reports_cost = false;
  };

  // `chat` knows the provider's errors; it must live as long.
  OpenAiEmbeddings(const Adapter& chat, Dialect dialect) : chat_(chat), dialect_(dialect) {}

  std::optional<UnsupportedFeature> unsupported(const EmbeddingRequest& request) const override;
  HttpRequest request(const EmbeddingRequest& request, const std::string& api_key) const override;
  std::variant<EmbeddingAnswer, ProviderError> parse(const EmbeddingRequest& request,
                                                     const HttpAnswer& answer) const override;

private:
  std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const;

  const Adapter& chat_;
  Dialect dialect_;
};

} // namespace holdfast::provider
