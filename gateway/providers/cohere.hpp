// Cohere, v2 chat.
#pragma once

#include "gateway/providers/provider.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace holdfast::provider {

// Usage is what Cohere bills: its real counts have a template in them that nobody pays for. What
// the model plans before it calls tools counts as reasoning. Answers do not name the model.
class Cohere : public Adapter {
public:
  std::optional<UnsupportedFeature> unsupported(const ChatRequest& request) const override;
  HttpRequest chat_request(const ChatRequest& request, const std::string& api_key) const override;
  HttpRequest health_request(const std::string& api_key) const override;
  std::variant<ChatAnswer, ProviderError> parse_chat(const HttpAnswer& answer) const override;
  ProviderError parse_error(const HttpAnswer& answer) const override;
  std::unique_ptr<StreamParser> stream_parser() const override;
};

} // namespace holdfast::provider
