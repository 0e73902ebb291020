// Every adapter's reading of a whole answer, of any status.
#include "tests/fuzz/answer_checks.hpp"
#include "tests/fuzz/provider_input.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = holdfast::fuzz::provider_input(holdfast::fuzz::text_of(data, size));
  if (!input) return 0;
  const auto parsed = input->adapter->parse_chat(input->answer);
  if (const auto* error = std::get_if<holdfast::ProviderError>(&parsed))
    holdfast::fuzz::check(*error);
  else
    holdfast::fuzz::check(std::get<holdfast::ChatAnswer>(parsed));
  if (input->answer.status != 200)
    holdfast::fuzz::check(input->adapter->parse_error(input->answer));
  return 0;
}
