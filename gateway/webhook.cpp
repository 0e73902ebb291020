#include "gateway/webhook.hpp"

#include "gateway/ids.hpp"
#include "gateway/json_text.hpp"
#include "gateway/providers/retry_delay.hpp"

#include <array>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdexcept>

namespace holdfast::gateway {
namespace {

constexpr TransportLimits kLimits{5000, 10000, 5000, 15000, 65536};

std::string body_of(const Delivery& delivery) {
  return ObjectText()
      .add("deliveryId", delivery.id)
      .add("organizationId", delivery.organization_id)
      .add("runId", delivery.run_id)
      .add("step", delivery.step_id)
      .add_raw("document", delivery.document)
      .text();
}

TransportRequest request_of(const Webhook& webhook, const Delivery& delivery, std::int64_t now_s) {
  TransportRequest request;
  request.method = "POST";
  request.url = webhook.url;
  request.body = body_of(delivery);
  const std::string timestamp = std::to_string(now_s);
  request.headers = {
      {"Content-Type", "application/json"},
      {"User-Agent", "holdfast/" HOLDFAST_VERSION},
      {"X-Holdfast-Delivery", delivery.id},
      {"X-Holdfast-Timestamp", timestamp},
      {"X-Holdfast-Signature", webhook_signature(webhook.secret, timestamp, request.body)}};
  return request;
}

DeliveryFailure failure_of(const ProviderError& error) {
  if (error.error_class == ErrorClass::client_gone)
    return {"stopped", "The gateway is stopping.", true, std::nullopt, true};
  const bool late = error.error_class == ErrorClass::timeout;
  return {late ? "webhook_timeout" : "webhook_unreachable",
          late ? "The webhook did not answer in time."
               : "The webhook could not be reached, or broke off.",
          true, std::nullopt, false};
}

DeliveryFailure refusal_of(const Exchange& exchange) {
  const int status = exchange.status();
  std::string what = "The webhook answered with status " + std::to_string(status) + ".";
  if (status >= 300 && status < 400) what += " Redirects are not followed.";
  const bool transient = status == 408 || status == 425 || status == 429 || status >= 500;
  return {"webhook_refused", what, transient,
          provider::retry_after_ms({status, exchange.headers(), ""}), false};
}

} // namespace

std::string webhook_signature(const std::string& secret, const std::string& timestamp,
                              const std::string& body) {
  const std::string text = timestamp + "." + body;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
           &size) == nullptr)
    throw std::runtime_error("HMAC-SHA256 is not available");
  return "v1=" + to_hex({reinterpret_cast<const char*>(digest.data()), size});
}

std::variant<std::string, DeliveryFailure> deliver(Transport& transport, const Webhook& webhook,
                                                   const Delivery& delivery, std::int64_t now_s,
                                                   std::function<bool()> stopped) {
  if (webhook.url.empty())
    return ObjectText().add("delivered", false).add_raw("document", delivery.document).text();
  Exchange exchange =
      transport.start(request_of(webhook, delivery, now_s), kLimits, std::move(stopped));
  if (const auto error = exchange.wait_headers()) return failure_of(*error);
  const int status = exchange.status();
  if (status < 200 || status >= 300) return refusal_of(exchange);
  return ObjectText()
      .add("delivered", true)
      .add("deliveryId", delivery.id)
      .add("status", status)
      .text();
}

} // namespace holdfast::gateway
