// When a provider wants to be asked again: at most a day, whatever its headers say.
#include "gateway/providers/retry_delay.hpp"
#include "tests/fuzz/provider_input.hpp"

namespace {

void check(std::optional<int> delay_ms) {
  holdfast::fuzz::require(!delay_ms || (*delay_ms >= 0 && *delay_ms <= 86400000),
                          "a delay is at most a day");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace provider = holdfast::provider;
  const std::string_view text = holdfast::fuzz::text_of(data, size);
  check(provider::parse_duration_ms(text));
  for (const auto moment : {provider::parse_http_date(text), provider::parse_rfc3339(text)})
    holdfast::fuzz::require(!moment || (*moment > -100000 && *moment < 253402400000),
                            "a moment is of our era");
  const auto input = holdfast::fuzz::provider_input(text);
  if (!input) return 0;
  check(provider::retry_after_ms(input->answer));
  check(provider::exhausted_ms(input->answer));
  return 0;
}
