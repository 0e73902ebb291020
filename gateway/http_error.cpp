#include "gateway/http_error.hpp"

#include "gateway/providers/provider_error.hpp"

#include <algorithm>
#include <cctype>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostQuotedBytes = 500;
constexpr int kRetryDatabaseSeconds = 2;
constexpr int kRetryProviderSeconds = 5;

const char* openai_type(int status) {
  switch (status) {
  case 202:
    return "approval_required";
  case 401:
    return "authentication_error";
  case 402:
    return "insufficient_quota";
  case 403:
    return "permission_error";
  case 404:
    return "not_found_error";
  case 409:
    return "conflict_error";
  case 429:
    return "rate_limit_error";
  default:
    return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

const char* anthropic_type(int status) {
  switch (status) {
  case 202:
    return "approval_required";
  case 401:
    return "authentication_error";
  case 402:
    return "billing_error";
  case 403:
    return "permission_error";
  case 404:
    return "not_found_error";
  case 413:
    return "request_too_large";
  case 429:
    return "rate_limit_error";
  case 503:
    return "overloaded_error";
  case 504:
    return "timeout_error";
  default:
    return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

const char* default_code(int status) {
  switch (status) {
  case 400:
    return "bad_value";
  case 401:
    return "invalid_api_key";
  case 402:
    return "budget_exceeded";
  case 403:
    return "forbidden";
  case 404:
    return "not_found";
  case 409:
    return "conflict";
  case 422:
    return "unpriced_model";
  case 429:
    return "rate_limited";
  case 503:
    return "unavailable";
  default:
    return status >= 500 ? "internal_error" : "bad_request";
  }
}

// The status in an SQLSTATE like PT404; nothing when it is another.
std::optional<int> status_of(const std::string& sqlstate) {
  if (sqlstate.size() != 5 || sqlstate.compare(0, 2, "PT") != 0) return std::nullopt;
  const bool digits = std::all_of(sqlstate.begin() + 2, sqlstate.end(),
                                  [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits || sqlstate[2] < '4' || sqlstate[2] > '5') return std::nullopt;
  return std::stoi(sqlstate.substr(2));
}

std::string sentence(std::string text) {
  while (!text.empty() && text.back() == ' ')
    text.pop_back();
  if (!text.empty() && std::string_view(".!?").find(text.back()) == std::string_view::npos) {
    text += '.';
  }
  if (!text.empty()) {
    text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  }
  return text;
}

// Words of others, cut where a character ends.
std::string quoted(const std::string& text) {
  if (text.size() <= kMostQuotedBytes) return text;
  std::size_t end = kMostQuotedBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  return text.substr(0, end) + "…";
}

// The message, which may quote what the caller wrote where a key does not belong.
std::string said(const HttpError& error) {
  return provider::cut_keys(error.message);
}

bool is_reserved(const std::string& name) {
  return name == "success" || name == "error" || name == "code" || name == "requestId";
}

int seconds_of(std::optional<std::int64_t> ms, int otherwise) {
  if (!ms) return otherwise;
  return static_cast<int>(std::clamp<std::int64_t>((*ms + 999) / 1000, 1, 86400));
}

struct ProviderStatus {
  int status;
  const char* code;
  const char* what;
};

ProviderStatus provider_status(ErrorClass error_class) {
  switch (error_class) {
  case ErrorClass::auth:
    return {502, "provider_auth", "refused this gateway's key"};
  case ErrorClass::invalid_request:
    return {400, "provider_invalid_request", "refused the request"};
  case ErrorClass::context_length:
    return {400, "context_length_exceeded", "has no room for this prompt"};
  case ErrorClass::content_filter:
    return {400, "content_filter", "refused the content"};
  case ErrorClass::rate_limit:
    return {429, "provider_rate_limit", "limits this gateway's rate"};
  case ErrorClass::quota_exhausted:
    return {429, "provider_quota_exhausted", "has no quota left for this gateway"};
  case ErrorClass::overloaded:
    return {503, "provider_overloaded", "is overloaded"};
  case ErrorClass::timeout:
    return {504, "provider_timeout", "did not answer in time"};
  case ErrorClass::network:
    return {502, "provider_network", "could not be reached, or broke off"};
  case ErrorClass::server:
    return {502, "provider_error", "failed"};
  case ErrorClass::client_gone:
    return {503, "gateway_stopping", "was not waited for, since the gateway is stopping"};
  }
  return {502, "provider_error", "failed"};
}

} // namespace

ErrorShape error_shape(std::string_view path) {
  const std::string_view messages = "/v1/messages";
  if (path == messages || path.substr(0, messages.size() + 1) == "/v1/messages/")
    return ErrorShape::anthropic;
  const bool v1 = path == "/v1" || path.substr(0, 4) == "/v1/";
  return v1 ? ErrorShape::openai : ErrorShape::api;
}

nlohmann::json openai_error(const HttpError& error) {
  return {{"message", said(error)},
          {"type", openai_type(error.status)},
          {"param", error.param.empty() ? nlohmann::json() : nlohmann::json(error.param)},
          {"code", error.code}};
}

nlohmann::json anthropic_error(const HttpError& error) {
  nlohmann::json told = {
      {"type", anthropic_type(error.status)}, {"message", said(error)}, {"code", error.code}};
  if (!error.param.empty()) told["param"] = error.param;
  return told;
}

std::string error_body(const HttpError& error, ErrorShape shape, const std::string& request_id) {
  if (shape == ErrorShape::openai) return ObjectText().add("error", openai_error(error)).text();
  if (shape == ErrorShape::anthropic)
    return ObjectText()
        .add("type", "error")
        .add("error", anthropic_error(error))
        .add("request_id", request_id)
        .text();
  ObjectText body;
  body.add("success", false)
      .add("error", said(error))
      .add("code", error.code)
      .add("requestId", request_id);
  if (!error.param.empty()) body.add("param", error.param);
  for (const auto& [name, value] : error.details) {
    if (!is_reserved(name) && !(name == "param" && !error.param.empty())) body.add_raw(name, value);
  }
  return body.text();
}

HttpError error_from_database(const DatabaseError& error) {
  const auto status = status_of(error.sqlstate);
  if (!status) {
    if (error.is_transient()) return database_away();
    if (error.sqlstate.compare(0, 2, "22") == 0) {
      return {400, "bad_value", "The database takes no such value: " + sentence(error.what())};
    }
    return {500, "internal_error",
            "The gateway failed on this request; nothing more can be said here. Its log has the "
            "reason under this request's id."};
  }
  std::string message = sentence(error.what());
  if (!error.hint.empty()) message += " " + sentence(error.hint);
  HttpError answer(*status, default_code(*status), message, *status == 422 ? "model" : "");
  if (auto details = object_members(error.detail)) answer.details = std::move(*details);
  for (const auto& [name, value] : answer.details) {
    const auto text = nlohmann::json::parse(value, nullptr, false);
    if (name == "code" && text.is_string()) answer.code = text.get<std::string>();
    // Other conflicts are of a state; this one names the key.
    if (name == "idempotencyKey" && answer.code == "conflict")
      answer.code = "idempotency_key_reused";
  }
  if (*status == 429 || *status == 503) {
    answer.retry_after_s = kRetryProviderSeconds;
    for (const auto& [name, value] : answer.details)
      if (const auto wait = nlohmann::json::parse(value, nullptr, false);
          name == "retryAfterMs" && wait.is_number_integer())
        answer.retry_after_s = seconds_of(wait.get<std::int64_t>(), kRetryProviderSeconds);
  }
  return answer;
}

HttpError database_away() {
  HttpError answer(503, "database_unavailable",
                   "The database that governs these calls cannot be asked now, so none is made. "
                   "Try again shortly.");
  answer.retry_after_s = kRetryDatabaseSeconds;
  return answer;
}

HttpError error_from_provider(const ProviderError& error, const std::string& provider) {
  const ProviderStatus known = provider_status(error.error_class);
  std::string message = "The provider " + provider + " " + known.what;
  // Our own sentences about the network name addresses, which are not the caller's business.
  const bool ours = error.error_class == ErrorClass::timeout ||
                    error.error_class == ErrorClass::network ||
                    error.error_class == ErrorClass::client_gone;
  if (error.error_class == ErrorClass::auth) {
    message += ". An operator must check the key in the gateway's environment.";
  } else {
    message += ours || error.message.empty() ? "." : ": " + sentence(quoted(error.message));
  }
  HttpError answer(known.status, known.code, message);
  answer.details = {{"provider", nlohmann::json(provider).dump()},
                    {"providerStatus", std::to_string(error.status)}};
  const bool waits = error.error_class == ErrorClass::rate_limit ||
                     error.error_class == ErrorClass::overloaded ||
                     error.error_class == ErrorClass::client_gone;
  if (waits || error.retry_after_ms) {
    answer.retry_after_s = seconds_of(error.retry_after_ms, kRetryProviderSeconds);
  }
  return answer;
}

HttpError error_from_denial(const OpenedCall& call) {
  const auto usd = [](const std::optional<std::string>& amount) {
    return amount ? "$" + *amount : std::string("an unknown amount");
  };
  HttpError answer(
      402, "budget_exceeded",
      "This call may cost up to " + usd(call.estimated_cost) + ", which the " + call.scope +
          " limit of " + usd(call.limit_usd) + " does not allow: " + usd(call.spent_usd) +
          " is spent and " + usd(call.held_usd) +
          " is held by calls in progress. Ask for fewer tokens, wait for those calls to settle, "
          "or have the " +
          call.scope + " limit raised.");
  if (call.remaining_usd) answer.headers.emplace_back("X-Holdfast-Remaining", *call.remaining_usd);
  answer.details = {{"scope", nlohmann::json(call.scope).dump()},
                    {"limitUSD", decimal_json(call.limit_usd)},
                    {"spentUSD", decimal_json(call.spent_usd)},
                    {"heldUSD", decimal_json(call.held_usd)},
                    {"requestedUSD", decimal_json(call.estimated_cost)}};
  return answer;
}

std::vector<std::pair<std::string, std::string>> rate_headers(const RateFigures& rate) {
  return {{"RateLimit-Limit", std::to_string(rate.limit)},
          {"RateLimit-Remaining", std::to_string(rate.remaining)},
          {"RateLimit-Reset", std::to_string(seconds_of(rate.reset_ms, 1))}};
}

HttpError error_from_rate_limit(const OpenedCall& call) {
  const RateFigures rate = call.rate.value_or(RateFigures());
  HttpError answer(429, "rate_limited",
                   "The " + rate.layer + " limit of " + std::to_string(rate.limit) +
                       " does not allow this call now. Try again after the time that Retry-After "
                       "says.");
  answer.retry_after_s = seconds_of(call.retry_after_ms, 1);
  answer.headers = rate_headers(rate);
  answer.details = {{"layer", nlohmann::json(rate.layer).dump()},
                    {"limit", std::to_string(rate.limit)},
                    {"remaining", std::to_string(rate.remaining)},
                    {"retryAfterMs", std::to_string(call.retry_after_ms.value_or(0))}};
  return answer;
}

HttpError error_approval_required(const OpenedCall& call) {
  const std::string cost = call.estimated_cost.value_or("an unknown amount");
  HttpError answer(202, "approval_required",
                   "This call may cost up to $" + cost + " and waits for an admin's approval, " +
                       call.approval_id +
                       ". Once it is given, repeat the request with the header "
                       "X-Holdfast-Approval; it is made once.");
  answer.headers = {{"X-Holdfast-Approval", call.approval_id}};
  answer.details = {{"approvalId", nlohmann::json(call.approval_id).dump()},
                    {"estimatedCostUSD", decimal_json(call.estimated_cost)},
                    {"thresholdUSD", decimal_json(call.approval_threshold)},
                    {"expiresAt", nlohmann::json(call.expires_at).dump()}};
  return answer;
}

HttpError error_in_flight(const OpenedCall& call) {
  HttpError answer(409, "idempotency_key_in_flight",
                   "The first call with this Idempotency-Key has not ended yet. Send the same "
                   "request again later to get its answer.");
  answer.retry_after_s = seconds_of(call.retry_after_ms, 1);
  return answer;
}

} // namespace holdfast::gateway
