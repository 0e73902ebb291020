// What all providers that speak OpenAI's chat API share. A provider derives from it and overrides
// where it differs.
#pragma once

#include "gateway/openai_format.hpp"
#include "gateway/providers/error_body.hpp"
#include "gateway/providers/features.hpp"
#include "gateway/providers/provider.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace holdfast::provider {

class OpenAiCompatible : public Adapter {
public:
  std::optional<UnsupportedFeature> unsupported(const ChatRequest& request) const override;
  HttpRequest chat_request(const ChatRequest& request, const std::string& api_key) const override;
  HttpRequest health_request(const std::string& api_key) const override;
  std::variant<ChatAnswer, ProviderError> parse_chat(const HttpAnswer& answer) const override;
  ProviderError parse_error(const HttpAnswer& answer) const override;
  std::unique_ptr<StreamParser> stream_parser() const override;

protected:
  // Where a dialect is smaller than OpenAI's, or in another place.
  struct Dialect {
    Features features;
    // The parameters of ChatRequest::extra that are sent; the others are labels and hints to this
    // provider. Empty: all.
    std::vector<std::string> extras;
    // Asks for usage in streams; false where it comes unasked, and asking may be refused.
    bool stream_options = true;
    // No stream of it ends well without `[DONE]`. Else one is complete when all its choices are.
    bool always_marks_end = false;
    // Open models think inside of the content.
    bool thinks_in_content = false;
  };

  virtual Dialect dialect() const { return {}; }

  // Which member bounds the completion of this model.
  virtual openai_format::TokenLimitField token_limit_field(const std::string& model) const;

  // What is asked for to learn whether the provider is there.
  virtual std::string health_path() const;

  // The last word on the body to send.
  virtual void finish_body(nlohmann::json& body) const;

  // The usage of an answer or a chunk; `text` is its JSON as it was written, for the money in it.
  virtual std::optional<Usage> usage_of(const nlohmann::json& body, std::string_view text) const;

  // The pages that an answer or a chunk names beside its choices.
  virtual std::vector<Citation> citations_of(const nlohmann::json& body) const;

  // True for the chunk that ends a stream without `[DONE]`.
  virtual bool is_last_chunk(const nlohmann::json& chunk) const;

  // A class or message that only this provider's body tells. `error` is what is known so far.
  virtual void refine_error(const nlohmann::json& body, ProviderError& error) const;

private:
  class Stream;
};

} // namespace holdfast::provider
