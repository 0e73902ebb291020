// The body of POST /v1/chat/completions.
#include "gateway/openai_format.hpp"
#include "tests/fuzz/request_checks.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace format = holdfast::openai_format;
  const auto body = holdfast::parse_bounded_json(holdfast::fuzz::text_of(data, size));
  if (!body) return 0;
  const format::RequestLimits limits;
  const auto parsed = format::parse_client_request(*body, limits);
  if (const auto* error = std::get_if<format::RequestError>(&parsed))
    holdfast::fuzz::require(!error->message.empty() && !error->code.empty(), "a refusal says why");
  else
    holdfast::fuzz::check(std::get<format::ClientRequest>(parsed).chat,
                          limits.max_completion_tokens);
  return 0;
}
