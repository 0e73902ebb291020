#include "extension/core/price.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"

#include <algorithm>

namespace holdfast {

namespace {

// tokens x USD per million, exact because a price has at most 10 decimals (a table constraint).
Int128 units_for(std::int64_t tokens, Usd per_million) {
  return per_million.units() / 1'000'000 * Int128{tokens};
}

void check_count(const char* name, std::int64_t count, std::int64_t most) {
  if (count >= 0 && count <= most) return;
  throw bad_value(std::string(name) + " is " + std::to_string(count) + ", outside 0 to " +
                  std::to_string(most) + ".")
      .detail(JsonObject().number(name, count).number("most", most).str())
      .hint("Give the counts as the provider reported them; cached and cache-write tokens are part "
            "of the prompt, reasoning tokens part of the completion.");
}

const TokenPrices& prices_for(const Price& price, std::int64_t prompt) {
  const bool is_long = price.long_context_tokens > 0 && prompt > price.long_context_tokens;
  return is_long ? price.long_context : price.base;
}

} // namespace

void check_tokens(const Tokens& tokens) {
  check_count("prompt_tokens", tokens.prompt, kMaxTokens);
  check_count("completion_tokens", tokens.completion, kMaxTokens);
  check_count("cached_tokens", tokens.cached, tokens.prompt);
  check_count("cache_write_tokens", tokens.cache_write, tokens.prompt - tokens.cached);
  check_count("reasoning_tokens", tokens.reasoning, tokens.completion);
}

Usd cost_of(const Price& price, const Tokens& tokens, bool batch) {
  const TokenPrices& rate = prices_for(price, tokens.prompt);
  const std::int64_t plain = tokens.prompt - tokens.cached - tokens.cache_write;
  Int128 units = units_for(plain, rate.input);
  units += units_for(tokens.cached, rate.cached_input.value_or(rate.input));
  units += units_for(tokens.cache_write, rate.cache_write.value_or(rate.input));
  units += units_for(tokens.completion - tokens.reasoning, rate.output);
  units += units_for(tokens.reasoning, rate.reasoning.value_or(rate.output));
  units += price.per_request.units();
  if (batch) units = units / 100 * (100 - price.batch_discount_percent);
  return Usd::from_units(units);
}

Usd cost_bound(const Price& price, std::int64_t prompt, std::int64_t completion) {
  Usd most;
  for (const TokenPrices* rate : {&price.base, &price.long_context}) {
    const bool reachable = rate == &price.base ||
                           (price.long_context_tokens > 0 && prompt > price.long_context_tokens);
    if (!reachable) continue;
    const Usd input = std::max(
        {rate->input, rate->cached_input.value_or(Usd()), rate->cache_write.value_or(Usd())});
    const Usd output = std::max(rate->output, rate->reasoning.value_or(Usd()));
    const Int128 units = units_for(prompt, input) + units_for(completion, output);
    most = std::max(most, Usd::from_units(units + price.per_request.units()));
  }
  return most;
}

std::int64_t completion_within(const Price& price, std::int64_t prompt, Usd affordable,
                               std::int64_t most) {
  if (cost_bound(price, prompt, 0) > affordable) return -1;
  std::int64_t fits = 0;
  std::int64_t too_many = most + 1;
  while (too_many - fits > 1) { // cost_bound grows with the completion
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (cost_bound(price, prompt, middle) <= affordable ? fits : too_many) = middle;
  }
  return fits;
}

} // namespace holdfast
