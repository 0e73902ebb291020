#include "extension/core/price.hpp"

#include "extension/core/error.hpp"
#include "extension/core/price_book.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast {
namespace {

Usd usd(const char* text) {
  return Usd::parse(text).value();
}

Price price_of(const char* provider, const char* model, const char* input, const char* output,
               std::int32_t day = 0) {
  Price price;
  price.provider = provider;
  price.model = model;
  price.base = {usd(input), usd(output), {}, {}, {}};
  price.effective_day = day;
  return price;
}

TEST(Price, CountsEveryKindOfTokenOnce) {
  Price price = price_of("anthropic", "m", "3", "15");
  price.base.cached_input = usd("0.3");
  price.base.cache_write = usd("3.75");
  price.base.reasoning = usd("20");
  price.per_request = usd("0.005");
  // 600 plain, 300 read, 100 written; 800 spoken, 200 thought.
  EXPECT_EQ(cost_of(price, {1000, 1000, 300, 100, 200}).str(), "0.023265");
  price.batch_discount_percent = 50;
  EXPECT_EQ(cost_of(price, {1000, 1000, 300, 100, 200}, true).str(), "0.0116325");
  EXPECT_EQ(cost_of(price, {}).str(), "0.005");
}

TEST(Price, UsesTheLongContextPricesAboveTheTierOnly) {
  Price price = price_of("gemini", "m", "1", "2");
  price.long_context_tokens = 200000;
  price.long_context = {usd("2"), usd("3"), {}, {}, {}};
  EXPECT_EQ(cost_of(price, {200000, 0, 0, 0, 0}).str(), "0.2");
  EXPECT_EQ(cost_of(price, {200001, 1000000, 0, 0, 0}).str(), "3.400002");
}

TEST(Price, RefusesCountsThatNoCallCanHave) {
  EXPECT_NO_THROW(check_tokens({10, 10, 4, 6, 10}));
  EXPECT_NO_THROW(check_tokens({kMaxTokens, kMaxTokens, 0, 0, 0}));
  const Tokens impossible[] = {
      {-1, 0, 0, 0, 0},  {0, -1, 0, 0, 0},  {10, 0, 11, 0, 0},           {10, 0, 4, 7, 0},
      {0, 10, 0, 0, 11}, {10, 0, -1, 0, 0}, {kMaxTokens + 1, 0, 0, 0, 0}};
  for (const Tokens& tokens : impossible)
    EXPECT_THROW(check_tokens(tokens), Error);
}

TEST(Price, BoundsEveryCallWithSoManyTokens) {
  std::mt19937_64 random(7);
  const auto upto = [&](std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random);
  };
  for (int i = 0; i < 20000; ++i) {
    Price price;
    price.base = {Usd::from_units(Int128{upto(1000)} * 100'000'000),
                  Usd::from_units(Int128{upto(1000)} * 100'000'000),
                  {},
                  {},
                  {}};
    if (upto(1) == 1) price.base.cached_input = Usd::from_units(Int128{upto(1000)} * 100'000'000);
    if (upto(1) == 1) price.base.cache_write = Usd::from_units(Int128{upto(1000)} * 100'000'000);
    if (upto(1) == 1) price.base.reasoning = Usd::from_units(Int128{upto(1000)} * 100'000'000);
    price.long_context_tokens = upto(1) == 1 ? upto(100) + 1 : 0;
    price.long_context = {Usd::from_units(Int128{upto(1000)} * 100'000'000),
                          Usd::from_units(Int128{upto(1000)} * 100'000'000),
                          {},
                          {},
                          {}};
    const std::int64_t prompt_bound = upto(200);
    const std::int64_t completion_bound = upto(200);
    Tokens tokens{upto(prompt_bound), upto(completion_bound), 0, 0, 0};
    tokens.cached = upto(tokens.prompt);
    tokens.cache_write = upto(tokens.prompt - tokens.cached);
    tokens.reasoning = upto(tokens.completion);
    ASSERT_LE(cost_of(price, tokens), cost_bound(price, prompt_bound, completion_bound)) << i;
  }
}

TEST(PriceBook, FindsTheNewestPriceInForce) {
  PriceBook book;
  book.add(price_of("openai", "m", "1", "1", 100));
  book.add(price_of("openai", "m", "3", "3", 300));
  book.add(price_of("openai", "m", "2", "2", 200));
  EXPECT_EQ(book.find("openai", "m", 100).base.input.str(), "1");
  EXPECT_EQ(book.find("openai", "m", 299).base.input.str(), "2");
  EXPECT_EQ(book.find("openai", "M-latest", 300).base.input.str(), "3");
  EXPECT_THROW(book.find("openai", "m", 99), Error);
  EXPECT_EQ(book.try_find("openai", "m", 99), nullptr);
}

TEST(PriceBook, NeverGuessesBetweenProviders) {
  PriceBook book;
  book.add(price_of("together", "llama", "0.88", "0.88"));
  book.add(price_of("deepinfra", "llama", "0.35", "0.40"));
  EXPECT_THROW(book.find("", "llama", 0), Error);
  EXPECT_EQ(book.find("together", "llama", 0).base.input.str(), "0.88");
  EXPECT_EQ(book.find("sandbox", "llama", 0).provider, "together"); // the dearest
  const std::optional<Offer> offer = book.cheapest({"together", "deepinfra"}, "llama", 0, 10, 10);
  ASSERT_TRUE(offer.has_value());
  EXPECT_EQ(offer->provider, "deepinfra");
  EXPECT_FALSE(book.cheapest({"groq"}, "llama", 0, 10, 10).has_value());
}

TEST(PriceBook, PrefersTheNameAsWrittenToItsParts) {
  PriceBook book;
  book.add(price_of("perplexity", "sonar", "1", "1"));
  book.add(price_of("openrouter", "perplexity/sonar", "1", "2"));
  EXPECT_EQ(book.normalize("Perplexity/Sonar"), "perplexity/sonar");
  EXPECT_EQ(book.find("perplexity", "perplexity/sonar", 0).model, "sonar");
  EXPECT_EQ(book.find("openrouter", "openrouter/perplexity/sonar:free", 0).model,
            "perplexity/sonar");
}

} // namespace
} // namespace holdfast
