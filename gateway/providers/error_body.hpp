// What providers write into the body of an error.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/providers/provider.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace holdfast::provider {

// An error as its body tells it; any of these may be missing. `status` is a status named in the
// body, 0 when there is none.
struct ErrorBody {
  std::string message;
  std::string type;
  std::string code;
  int status = 0;
};

// The `error` member of a body or of a stream's event: an object, or just a sentence. Nothing when
// there is none.
std::optional<ErrorBody> read_error_member(const nlohmann::json& body);

// The error in a body that is known to be one: an `error` member, else `detail` (a sentence, an
// object or a list, as FastAPI writes it), else the body's own `message`, `type` and `code`.
std::optional<ErrorBody> read_error_body(const nlohmann::json& body);

// The class of an error: its own words are more exact than the status, which with an error that
// came inside of a 200 is the one the body names.
ErrorClass classify_error(int status, const ErrorBody& error);

// The error as everybody sees it, without keys. No retry delay: read that from the headers.
ProviderError make_error(int status, const ErrorBody& body);

// The error of an answer that is not 200, of any body, with its delay.
ProviderError error_of_answer(const HttpAnswer& answer, const std::optional<ErrorBody>& said);

// A 200 that is not what it should be: the provider may have charged for it.
ProviderError broken_answer(std::string message);

} // namespace holdfast::provider
