#include "gateway/request_controls.hpp"

#include "extension/core/input_text.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/http_error.hpp"
#include "gateway/ids.hpp"
#include "gateway/request_json.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kLongestIdempotencyKey = 255;
constexpr std::size_t kLongestUserId = 255;

std::optional<std::string> header(const httplib::Request& request, const char* name) {
  if (!request.has_header(name)) return std::nullopt;
  return request.get_header_value(name);
}

HttpError bad_value(const std::string& field, const std::string& wanted) {
  return {400, "bad_value", field + " must be " + wanted + ".", field};
}

std::string checked_sizing(const std::string& text) {
  if (text == "strict" || text == "clamp" || text == "estimate") return text;
  throw bad_value("X-Holdfast-Sizing", "strict, clamp or estimate");
}

} // namespace

ApiKey read_key(const httplib::Request& request) {
  const auto authorization = header(request, "Authorization");
  const auto plain = header(request, "X-Api-Key"); // as Anthropic's clients send it
  if (!authorization && !plain) {
    throw HttpError(401, "missing_api_key",
                    "The request carries no API key. Send it as Authorization: Bearer <key>.");
  }
  const auto key = authorization ? parse_authorization(*authorization) : parse_api_key(*plain);
  if (!key) {
    throw HttpError(401, "invalid_api_key",
                    "The API key does not have the form of one: Authorization: Bearer hf_….");
  }
  if (const auto organization = header(request, "X-Holdfast-Organization")) {
    const auto named = canonical_uuid(*organization);
    if (!named) throw bad_value("X-Holdfast-Organization", "a UUID");
    if (*named != key->organization_id) {
      throw HttpError(403, "organization_mismatch",
                      "X-Holdfast-Organization names another organization than the API key's. "
                      "Leave the header away, or use a key of that organization.");
    }
  }
  return *key;
}

Controls read_controls(const httplib::Request& request) {
  Controls controls;
  controls.key = read_key(request);
  if (const auto workflow = header(request, "X-Holdfast-Workflow")) {
    controls.workflow_id = checked_workflow_id(*workflow, "X-Holdfast-Workflow");
  }
  if (const auto user = header(request, "X-Holdfast-User")) {
    controls.user_id = checked_user_id(*user, "X-Holdfast-User");
  }
  if (const auto key = header(request, "Idempotency-Key")) {
    controls.idempotency_key = checked_idempotency_key(*key, "Idempotency-Key");
  }
  if (const auto approval = header(request, "X-Holdfast-Approval")) {
    controls.approval_id = checked_workflow_id(*approval, "X-Holdfast-Approval");
  }
  if (const auto sizing = header(request, "X-Holdfast-Sizing")) {
    controls.sizing = checked_sizing(*sizing);
  }
  return controls;
}

std::string checked_idempotency_key(const std::string& text, const std::string& field) {
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (text.empty() || text.size() > kLongestIdempotencyKey || !printable) {
    throw bad_value(field, "1 to 255 printable ASCII characters");
  }
  return text;
}

std::string checked_workflow_id(const std::string& text, const std::string& field) {
  const auto id = canonical_uuid(text);
  if (!id) throw bad_value(field, "a UUID");
  return *id;
}

std::string checked_user_id(const std::string& text, const std::string& field) {
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  });
  if (text.empty() || text.size() > kLongestUserId || control || !is_utf8(text)) {
    throw bad_value(field, "1 to 255 bytes of UTF-8 text without control characters");
  }
  return text;
}

void merge_control(std::optional<std::string>& control, const std::optional<std::string>& from_body,
                   const std::string& field) {
  if (!from_body) return;
  if (control && *control != *from_body) {
    throw HttpError(400, "contradiction",
                    "The field " + field + " and its header differ. Send one of them.", field);
  }
  control = from_body;
}

std::string request_fingerprint(const std::string& method, const std::string& path,
                                const nlohmann::json& body) {
  return sha256(method + "\n" + path + "\n" + dump_json(body));
}

} // namespace holdfast::gateway
