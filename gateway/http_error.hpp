// What goes wrong for a caller: one type, two shapes.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/database.hpp"
#include "gateway/json_text.hpp"

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::gateway {

// An answer that is an error, or that nothing was done yet (202). `code` is snake_case for
// programs, the message a sentence for people. `param` names the member of the body that is wrong,
// may be empty. `details` are further members of the /api shape, values as JSON text.
class HttpError : public std::exception {
public:
  HttpError(int status_, std::string code_, std::string message_, std::string param_ = "")
      : status(status_), code(std::move(code_)), message(std::move(message_)),
        param(std::move(param_)) {}

  const char* what() const noexcept override { return message.c_str(); }

  int status;
  std::string code;
  std::string message;
  std::string param;
  std::optional<int> retry_after_s;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<RawMember> details;
};

enum class ErrorShape { api, openai, anthropic };

// /v1/messages speaks Anthropic's shape, the rest of /v1 OpenAI's, everything else Holdfast's own.
ErrorShape error_shape(std::string_view path);

// The body of an error. /api: {success, error, code, requestId, …details}; /v1: {error: {message,
// type, param, code}}; /v1/messages: {type: "error", error: {type, message, param, code},
// request_id}.
std::string error_body(const HttpError& error, ErrorShape shape, const std::string& request_id);

// The object inside of /v1's `error`.
nlohmann::json openai_error(const HttpError& error);

// The object inside of /v1/messages' `error`.
nlohmann::json anthropic_error(const HttpError& error);

// A refusal by the database: PTxyz is HTTP status xyz; others tell the caller nothing.
HttpError error_from_database(const DatabaseError& error);

// The database could not be asked, or is too busy.
HttpError database_away();

// A provider's failure. Its key is the operator's business: auth failures quote nothing.
HttpError error_from_provider(const ProviderError& error, const std::string& provider);

// A call refused over a budget: 402.
HttpError error_from_denial(const OpenedCall& call);

// A call refused by a rate limit: 429, with the headers that say when it fits.
HttpError error_from_rate_limit(const OpenedCall& call);

// RateLimit-Limit, -Remaining and -Reset (in seconds).
std::vector<std::pair<std::string, std::string>> rate_headers(const RateFigures& rate);

// A call that waits for an admin's word: 202. Its header X-Holdfast-Approval is what the request is
// to be repeated with.
HttpError error_approval_required(const OpenedCall& call);

// The same Idempotency-Key is at work: 409.
HttpError error_in_flight(const OpenedCall& call);

} // namespace holdfast::gateway
