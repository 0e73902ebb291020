#include "gateway/provider_exchange.hpp"

#include "gateway/providers/provider_error.hpp"

#include <utility>

namespace holdfast::gateway {
namespace {

constexpr int kStatusOk = 200;

std::string joined_url(const ProviderConfig& config, const provider::ProviderInfo& info,
                       const std::string& path) {
  std::string base = config.base_url.empty() ? info.default_base_url : config.base_url;
  while (!base.empty() && base.back() == '/')
    base.pop_back();
  return base + path;
}

} // namespace

Exchange start_exchange(Transport& transport, const provider::ProviderInfo& info,
                        const ProviderConfig& config, provider::HttpRequest request,
                        const TransportLimits& limits, std::function<bool()> client_gone) {
  return transport.start({std::move(request.method), joined_url(config, info, request.path),
                          std::move(request.headers), std::move(request.body)},
                         limits, std::move(client_gone));
}

std::variant<provider::HttpAnswer, ProviderError> read_whole(Exchange& exchange) {
  if (std::optional<ProviderError> error = exchange.wait_headers()) return *error;
  provider::HttpAnswer answer{exchange.status(), exchange.headers(), {}};
  while (true) {
    auto part = exchange.read();
    if (std::holds_alternative<BodyEnd>(part)) return answer;
    if (auto* error = std::get_if<ProviderError>(&part)) {
      // A refusal stays one, even when its explanation broke off.
      const bool refused = answer.status != kStatusOk;
      if (refused && error->error_class != ErrorClass::client_gone) return answer;
      return *error;
    }
    answer.body += std::get<std::string>(part);
  }
}

ProviderError without_secret(ProviderError error, const std::string& api_key) {
  error.message = provider::cut_secret(std::move(error.message), api_key);
  error.code = provider::cut_secret(std::move(error.code), api_key);
  return error;
}

} // namespace holdfast::gateway
