// When a failed attempt is followed by another.
#include "gateway/attempts.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/providers/retry_delay.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

ProviderError error_of(ErrorClass error_class, bool maybe_charged = false) {
  ProviderError error;
  error.error_class = error_class;
  error.maybe_charged = maybe_charged;
  return error;
}

TEST(Attempts, OnlyWhatMayPassIsTriedAgain) {
  for (const auto transient : {ErrorClass::rate_limit, ErrorClass::overloaded, ErrorClass::timeout,
                               ErrorClass::network, ErrorClass::server})
    EXPECT_TRUE(may_pass(error_of(transient))) << error_class_name(transient);
  for (const auto lasting :
       {ErrorClass::auth, ErrorClass::invalid_request, ErrorClass::context_length,
        ErrorClass::content_filter, ErrorClass::quota_exhausted, ErrorClass::client_gone})
    EXPECT_FALSE(may_pass(error_of(lasting))) << error_class_name(lasting);
}

TEST(Attempts, AnAnswerThatCannotBeReadIsNotBoughtTwiceFromTheSameProvider) {
  EXPECT_FALSE(may_pass(error_of(ErrorClass::server, true)));
  EXPECT_TRUE(may_be_handed_on(error_of(ErrorClass::server, true)));
}

TEST(Attempts, ARequestThatIsWrongIsWrongEverywhere) {
  EXPECT_FALSE(may_be_handed_on(error_of(ErrorClass::invalid_request)));
  EXPECT_FALSE(may_be_handed_on(error_of(ErrorClass::content_filter)));
  EXPECT_FALSE(may_be_handed_on(error_of(ErrorClass::context_length)));
  EXPECT_TRUE(may_be_handed_on(error_of(ErrorClass::auth)));
  EXPECT_TRUE(may_be_handed_on(error_of(ErrorClass::quota_exhausted)));
}

TEST(Attempts, WaitsGrowWithJitterAndGiveWayToTheProvidersWord) {
  ProviderError error = error_of(ErrorClass::overloaded);
  EXPECT_EQ(retry_wait_ms(error, 0, 0), 125);
  EXPECT_EQ(retry_wait_ms(error, 0, 1), 250);
  EXPECT_EQ(retry_wait_ms(error, 2, 1), 1000);
  EXPECT_EQ(retry_wait_ms(error, 9, 1), 8000);
  error.retry_after_ms = 26;
  EXPECT_EQ(retry_wait_ms(error, 2, 1), 26);
}

TEST(Attempts, HeadersTellForHowLongNothingIsLeft) {
  using provider::exhausted_ms;
  EXPECT_EQ(exhausted_ms({200, {{"x-ratelimit-remaining-requests", "1"}}, {}}), std::nullopt);
  EXPECT_EQ(exhausted_ms({200,
                          {{"x-ratelimit-remaining-requests", "0"},
                           {"x-ratelimit-reset-requests", "1m0s"},
                           {"x-ratelimit-remaining-tokens", "0"},
                           {"x-ratelimit-reset-tokens", "26ms"}},
                          {}}),
            60000);
  EXPECT_EQ(exhausted_ms({200,
                          {{"date", "Sun, 06 Nov 1994 08:49:37 GMT"},
                           {"anthropic-ratelimit-requests-remaining", "0"},
                           {"anthropic-ratelimit-requests-reset", "1994-11-06T08:49:40Z"}},
                          {}}),
            3000);
  EXPECT_EQ(exhausted_ms({200, {{"x-ratelimit-remaining-req-minute", "0"}}, {}}), 60000);
}

TEST(Registry, DefaultModelsGoOutUnderNamesThatProvidersKnow) {
  EXPECT_EQ(provider::wire_model("groq", "llama-3.3-70b"), "llama-3.3-70b-versatile");
  EXPECT_EQ(provider::wire_model("deepinfra", "llama-3.1-70b"),
            "meta-llama/Meta-Llama-3.1-70B-Instruct");
  EXPECT_EQ(provider::wire_model("openai", "gpt-4o-mini"), "gpt-4o-mini");
  EXPECT_EQ(provider::wire_model("openai", "llama-3.3-70b"), "llama-3.3-70b");
}

} // namespace
} // namespace holdfast::gateway
