// Hands documents over to the operator's webhook, signed.
#pragma once

#include "gateway/transport.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>

namespace holdfast::gateway {

// Where documents go, and what they are signed with. Without a URL they are kept in the result.
struct Webhook {
  std::string url;
  std::string secret;
};

// One document. The id is the same however often it is tried: by it the receiver tells repeats.
struct Delivery {
  std::string id;
  std::string organization_id;
  std::string run_id;
  std::string step_id;
  std::string document; // JSON
};

struct DeliveryFailure {
  std::string code;
  std::string message;
  bool transient = false;
  std::optional<int> retry_after_ms;
  bool is_stopped = false; // the gateway ends: another one's to do
};

// The result as JSON, or why there is none. Redirects are not followed; it takes 15 s at most.
std::variant<std::string, DeliveryFailure> deliver(Transport& transport, const Webhook& webhook,
                                                   const Delivery& delivery, std::int64_t now_s,
                                                   std::function<bool()> stopped);

// What the header X-Holdfast-Signature says: `v1=` and HMAC-SHA256 in hex over timestamp, a full
// stop and body.
std::string webhook_signature(const std::string& secret, const std::string& timestamp,
                              const std::string& body);

} // namespace holdfast::gateway
