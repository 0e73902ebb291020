// Holdfast's own controls of a call: who asks, for which workflow, under which idempotency key.
#pragma once

#include "gateway/api_key.hpp"
#include "gateway/http_library.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace holdfast::gateway {

// The controls in a request's headers, checked. User and workflow may also come in the body.
struct Controls {
  ApiKey key;
  std::optional<std::string> workflow_id;
  std::optional<std::string> user_id;
  std::optional<std::string> idempotency_key;
  std::optional<std::string> approval_id; // of a call that was to be approved
  std::optional<std::string> sizing;      // how the hold is sized; the database knows the words
};

// The key of the request (Authorization, else X-Api-Key), and that X-Holdfast-Organization, when
// sent, names its organization. Throws HttpError 401, 400 or 403.
ApiKey read_key(const httplib::Request& request);

// All the headers' controls. Throws HttpError.
Controls read_controls(const httplib::Request& request);

// Each returns the value it was given, in canonical form, or throws HttpError 400 naming `field`.
std::string checked_idempotency_key(const std::string& text, const std::string& field);
std::string checked_workflow_id(const std::string& text, const std::string& field);
std::string checked_user_id(const std::string& text, const std::string& field);

// A control of the body, which must agree with the header's when both are there.
void merge_control(std::optional<std::string>& control, const std::optional<std::string>& from_body,
                   const std::string& field);

// What makes two requests the same under one idempotency key: 32 bytes over method, path and the
// body, whose members may come in any order.
std::string request_fingerprint(const std::string& method, const std::string& path,
                                const nlohmann::json& body);

} // namespace holdfast::gateway
