#include "gateway/providers/error_body.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/providers/provider_error.hpp"
#include "gateway/providers/retry_delay.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

constexpr int kStatusOk = 200;

std::string word(const json& object, const char* name) {
  const json& value = member(object, name);
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_integer() ? dump_json(value) : std::string();
}

// A status that the body names, as `status_code` or as a numeric `code`.
int status_in(const json& error) {
  constexpr std::int64_t kMaxStatus = 599;
  for (const char* name : {"status_code", "code"})
    if (const auto status = json_read::whole_number(member(error, name), kMaxStatus);
        status && *status >= 400)
      return static_cast<int>(*status);
  return 0;
}

ErrorBody read_error_object(const json& error) {
  return {word(error, "message"), word(error, "type"), word(error, "code"), status_in(error)};
}

bool contains_any(std::string_view message, const std::vector<std::string_view>& phrases) {
  std::string lower(message);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(phrases.begin(), phrases.end(), [&](std::string_view phrase) {
    return lower.find(phrase) != std::string::npos;
  });
}

bool speaks_of_context_length(std::string_view message) {
  return contains_any(message,
                      {"context length", "context window", "prompt is too long", "too many tokens",
                       "maximum number of tokens", "total length of all messages is too long"});
}

bool speaks_of_empty_account(std::string_view message) {
  return contains_any(message, {"credits are depleted", "credit balance is too low",
                                "insufficient credits", "insufficient balance", "calls / month"});
}

struct NamedClass {
  std::string_view name;
  ErrorClass error_class;
};

// Codes and types that mean the same everywhere.
constexpr std::array<NamedClass, 14> kNamedClasses = {{
    {"insufficient_quota", ErrorClass::quota_exhausted},
    {"billing_hard_limit_reached", ErrorClass::quota_exhausted},
    {"billing_not_active", ErrorClass::quota_exhausted},
    {"billing_error", ErrorClass::quota_exhausted},
    {"context_length_exceeded", ErrorClass::context_length},
    {"too_many_prompt_tokens", ErrorClass::context_length},
    {"TOO_MANY_TOKENS", ErrorClass::context_length},
    {"content_filter", ErrorClass::content_filter},
    {"content_policy_violation", ErrorClass::content_filter},
    {"rate_limit_exceeded", ErrorClass::rate_limit},
    {"rate_limit_error", ErrorClass::rate_limit},
    {"overloaded_error", ErrorClass::overloaded},
    {"timeout_error", ErrorClass::timeout},
    {"invalid_api_key", ErrorClass::auth},
}};

// Words that only say which side is at fault; the status, where there is one, says more.
constexpr std::array<NamedClass, 7> kVagueClasses = {{
    {"server_error", ErrorClass::server},
    {"api_error", ErrorClass::server},
    {"invalid_request_error", ErrorClass::invalid_request},
    {"not_found_error", ErrorClass::invalid_request},
    {"request_too_large", ErrorClass::invalid_request},
    {"authentication_error", ErrorClass::auth},
    {"permission_error", ErrorClass::auth},
}};

template <std::size_t Size>
std::optional<ErrorClass> named(const std::array<NamedClass, Size>& classes,
                                const ErrorBody& error) {
  for (const NamedClass& known : classes)
    if (error.code == known.name || error.type == known.name) return known.error_class;
  return std::nullopt;
}

} // namespace

std::optional<ErrorBody> read_error_member(const json& body) {
  const json& error = member(body, "error");
  if (error.is_null()) return std::nullopt;
  if (error.is_string()) return ErrorBody{error.get<std::string>(), {}, {}, 0};
  return read_error_object(error);
}

std::optional<ErrorBody> read_error_body(const json& body) {
  if (auto error = read_error_member(body)) return error;
  const json& detail = member(body, "detail");
  if (detail.is_string()) return ErrorBody{detail.get<std::string>(), {}, {}, 0};
  if (detail.is_object()) return read_error_body(detail);
  if (detail.is_array() && !detail.empty())
    return ErrorBody{word(detail.front(), "msg"), word(detail.front(), "type"), {}, 0};
  ErrorBody error = read_error_object(body);
  if (error.type.empty()) error.type = word(body, "error_type");
  if (error.message.empty()) return std::nullopt;
  return error;
}

ErrorClass classify_error(int status, const ErrorBody& error) {
  // A request that is too large stays so, whatever limit it is measured by.
  constexpr int kTooLarge = 413;
  if (status == kTooLarge) return ErrorClass::invalid_request;
  if (const auto exact = named(kNamedClasses, error)) return *exact;
  const int told = status == kStatusOk ? error.status : status;
  const bool client_fault = told == 0 || told == 400 || told == 422;
  if (client_fault && speaks_of_context_length(error.message)) return ErrorClass::context_length;
  if (speaks_of_empty_account(error.message)) return ErrorClass::quota_exhausted;
  if (told == 0)
    if (const auto vague = named(kVagueClasses, error)) return *vague;
  return classify_status(told == 0 ? status : told);
}

ProviderError make_error(int status, const ErrorBody& body) {
  ProviderError error;
  error.error_class = classify_error(status, body);
  error.status = status;
  error.message = body.message.empty() ? "The provider sent an error without a message."
                                       : clean_message(body.message);
  error.code = clean_message(body.code.empty() ? body.type : body.code);
  return error;
}

ProviderError error_of_answer(const HttpAnswer& answer, const std::optional<ErrorBody>& said) {
  const ErrorBody body = said.value_or(ErrorBody{});
  ProviderError error = make_error(answer.status, body);
  if (body.message.empty()) error.message = unreadable_body_message(answer);
  if (error.error_class != ErrorClass::quota_exhausted)
    error.retry_after_ms = retry_after_ms(answer);
  return error;
}

ProviderError broken_answer(std::string message) {
  ProviderError error;
  error.error_class = ErrorClass::server;
  error.status = kStatusOk;
  error.message = std::move(message);
  error.code = "invalid_answer";
  error.maybe_charged = true;
  return error;
}

} // namespace holdfast::provider
