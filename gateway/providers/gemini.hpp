// Google Gemini, generateContent.
#pragma once

#include "gateway/providers/provider.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace holdfast::provider {

// The model is part of the path; calls have no ids, so that theirs are made here; a bad key is a
// 400; streams end without a mark.
class Gemini : public Adapter {
public:
  std::optional<UnsupportedFeature> unsupported(const ChatRequest& request) const override;
  HttpRequest chat_request(const ChatRequest& request, const std::string& api_key) const override;
  HttpRequest health_request(const std::string& api_key) const override;
  std::variant<ChatAnswer, ProviderError> parse_chat(const HttpAnswer& answer) const override;
  ProviderError parse_error(const HttpAnswer& answer) const override;
  std::unique_ptr<StreamParser> stream_parser() const override;
};

} // namespace holdfast::provider
