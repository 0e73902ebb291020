// The body of POST /api/ai/generate.
#include "gateway/generate_format.hpp"
#include "tests/fuzz/request_checks.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const auto body = parse_bounded_json(fuzz::text_of(data, size));
  if (!body || !body->is_object()) return 0;
  const openai_format::RequestLimits limits;
  const auto parsed = generate_format::parse_client_request(*body, limits);
  if (const auto* error = std::get_if<openai_format::RequestError>(&parsed))
    fuzz::require(!error->message.empty() && !error->code.empty(), "a refusal says why");
  else
    fuzz::check(std::get<ChatRequest>(parsed), limits.max_completion_tokens);
  return 0;
}
