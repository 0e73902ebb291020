#pragma once

#include "extension/core/usd.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast {

// The tokens of one call. prompt includes cached reads and cache writes, completion includes
// reasoning: the normal form that adapters bring every provider's usage to.
struct Tokens {
  std::int64_t prompt = 0;
  std::int64_t completion = 0;
  std::int64_t cached = 0;
  std::int64_t cache_write = 0;
  std::int64_t reasoning = 0;
};

// Prices of one kind of prompt length, in USD per million tokens.
struct TokenPrices {
  Usd input;
  Usd output;
  std::optional<Usd> cached_input; // absent: as input
  std::optional<Usd> cache_write;  // absent: as input
  std::optional<Usd> reasoning;    // absent: as output
};

// One effective-dated row of ai_provider_pricing.
struct Price {
  std::int32_t price_id = 0;
  std::string provider;
  std::string model;
  std::int32_t effective_day = 0; // days since 2000-01-01, as PostgreSQL's date
  TokenPrices base;
  std::int64_t long_context_tokens = 0; // 0: no tier; a longer prompt is priced by long_context
  TokenPrices long_context;
  Usd per_request;
  int batch_discount_percent = 0;
};

// A bound on each count of tokens, so that no product can overflow: a hundred million.
constexpr std::int64_t kMaxTokens = 100'000'000;

// Refuses counts that no call can have: negative, above kMaxTokens, or parts larger than their
// whole. Throws Error PT400 naming the count.
void check_tokens(const Tokens& tokens);

// What the call costs at this price, exactly:
// ((prompt - cached - cache_write) x input + cached x cached_input + cache_write x cache_write
//  + (completion - reasoning) x output + reasoning x reasoning) / 1,000,000 + per_request,
// less the batch discount. Expects checked tokens.
Usd cost_of(const Price& price, const Tokens& tokens, bool batch = false);

// The most that a call with at most these many prompt and completion tokens can cost, however its
// tokens divide into cached, written, reasoning.
Usd cost_bound(const Price& price, std::int64_t prompt, std::int64_t completion);

// How many completion tokens a call with these prompt tokens can have so that cost_bound() stays
// within `affordable`; at most `most`, and -1 when not even the prompt fits.
std::int64_t completion_within(const Price& price, std::int64_t prompt, Usd affordable,
                               std::int64_t most);

} // namespace holdfast
