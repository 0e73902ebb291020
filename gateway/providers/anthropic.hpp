// Anthropic, Messages.
#pragma once

#include "gateway/providers/provider.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace holdfast::provider {

// System messages are gathered in `system`; results of tools are a user's blocks. Thinking is read,
// never asked for: it could not be sent back in a shape that has no place for its signature.
class Anthropic : public Adapter {
public:
  std::optional<UnsupportedFeature> unsupported(const ChatRequest& request) const override;
  HttpRequest chat_request(const ChatRequest& request, const std::string& api_key) const override;
  HttpRequest health_request(const std::string& api_key) const override;
  std::variant<ChatAnswer, ProviderError> parse_chat(const HttpAnswer& answer) const override;
  ProviderError parse_error(const HttpAnswer& answer) const override;
  std::unique_ptr<StreamParser> stream_parser() const override;
};

} // namespace holdfast::provider
