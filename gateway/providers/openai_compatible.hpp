// What all providers that speak OpenAI's chat API share. A provider derives from it and overrides
// where it differs.
#pragma once

#include "gateway/openai_format.hpp"
#include "gateway/providers/provider.hpp"

#include <memory>
#include <string>
#include <variant>

namespace holdfast::provider {

class OpenAiCompatible : public Adapter {
public:
  HttpRequest chat_request(const ChatRequest& request, const std::string& api_key) const override;
  std::variant<ChatAnswer, ProviderError> parse_chat(const HttpAnswer& answer) const override;
  ProviderError parse_error(const HttpAnswer& answer) const override;
  std::unique_ptr<StreamParser> stream_parser() const override;

protected:
  // Which member bounds the completion of this model.
  virtual openai_format::TokenLimitField token_limit_field(const std::string& model) const;
};

} // namespace holdfast::provider
