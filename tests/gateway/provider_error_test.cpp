#include "gateway/providers/provider_error.hpp"

#include <gtest/gtest.h>

namespace holdfast::provider {
namespace {

TEST(ProviderErrors, StatusGivesTheClass) {
  const std::vector<std::pair<int, ErrorClass>> cases = {{400, ErrorClass::invalid_request},
                                                         {401, ErrorClass::auth},
                                                         {402, ErrorClass::quota_exhausted},
                                                         {403, ErrorClass::auth},
                                                         {404, ErrorClass::invalid_request},
                                                         {408, ErrorClass::timeout},
                                                         {409, ErrorClass::overloaded},
                                                         {413, ErrorClass::invalid_request},
                                                         {422, ErrorClass::invalid_request},
                                                         {429, ErrorClass::rate_limit},
                                                         {500, ErrorClass::server},
                                                         {502, ErrorClass::server},
                                                         {503, ErrorClass::overloaded},
                                                         {504, ErrorClass::timeout},
                                                         {529, ErrorClass::overloaded},
                                                         {302, ErrorClass::server},
                                                         {0, ErrorClass::server}};
  for (const auto& [status, expected] : cases)
    EXPECT_EQ(classify_status(status), expected) << status;
}

TEST(ProviderErrors, OnlyPassingTroubleIsTransient) {
  for (const ErrorClass passing : {ErrorClass::rate_limit, ErrorClass::overloaded,
                                   ErrorClass::timeout, ErrorClass::network, ErrorClass::server})
    EXPECT_TRUE(is_transient(passing)) << error_class_name(passing);
  for (const ErrorClass lasting :
       {ErrorClass::auth, ErrorClass::invalid_request, ErrorClass::context_length,
        ErrorClass::content_filter, ErrorClass::quota_exhausted, ErrorClass::client_gone})
    EXPECT_FALSE(is_transient(lasting)) << error_class_name(lasting);
}

TEST(ProviderErrors, ReadsDurations) {
  const std::vector<std::pair<const char*, std::optional<int>>> cases = {
      {"120ms", 120},       {"6m0s", 360000},        {"1s", 1000},          {"0s", 0},
      {"1h2m3s", 3723000},  {"2m59.56s", 179560},    {"1.5ms", 2},          {"500us", 1},
      {"2d", 86400000},     {"99999999h", 86400000}, {"", std::nullopt},    {"12", std::nullopt},
      {"s", std::nullopt},  {"-5s", std::nullopt},   {"5 s", std::nullopt}, {"1x", std::nullopt},
      {".s", std::nullopt}, {"1e3s", std::nullopt}};
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(parse_duration_ms(text), expected) << text;
}

TEST(ProviderErrors, ReadsHttpDates) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
  EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 23:59:59 GMT"), 1709251199);
  EXPECT_EQ(parse_http_date("Fri, 01 Mar 2024 00:00:00 GMT"), 1709251200);
  for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nox 1994 08:49:37 GMT",
                          "Sun, 06 ovD 1994 08:49:37 GMT", "Sun, 46 Nov 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 28:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"})
    EXPECT_EQ(parse_http_date(bad), std::nullopt) << bad;
}

HttpAnswer with_headers(int status, std::multimap<std::string, std::string> headers) {
  return {status, std::move(headers), ""};
}

TEST(ProviderErrors, RetryAfterInSecondsOrMilliseconds) {
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", "20"}})), 20000);
  EXPECT_EQ(retry_after_ms(with_headers(503, {{"retry-after", "1.5"}})), 1500);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", "20"}, {"retry-after-ms", "250"}})),
            250);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", "999999999999999999999"}})),
            86400000);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", "-1"}})), std::nullopt);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", "soon"}})), std::nullopt);
  EXPECT_EQ(retry_after_ms(with_headers(429, {})), std::nullopt);
}

TEST(ProviderErrors, RetryAfterAsADateCountsFromTheAnswersDate) {
  const std::string now = "Sun, 06 Nov 1994 08:49:37 GMT";
  const std::string later = "Sun, 06 Nov 1994 08:50:07 GMT";
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"date", now}, {"retry-after", later}})), 30000);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"date", later}, {"retry-after", now}})), 0);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", later}})), std::nullopt);
}

TEST(ProviderErrors, RetryAfterFromTheResetOfWhatIsUsedUp) {
  const std::multimap<std::string, std::string> headers = {
      {"x-ratelimit-remaining-requests", "499"},
      {"x-ratelimit-reset-requests", "6m0s"},
      {"x-ratelimit-remaining-tokens", "0"},
      {"x-ratelimit-reset-tokens", "120ms"}};
  EXPECT_EQ(retry_after_ms(with_headers(429, headers)), 120);
  EXPECT_EQ(retry_after_ms(with_headers(500, headers)), std::nullopt);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"x-ratelimit-reset-requests", "6m0s"},
                                              {"x-ratelimit-reset-tokens", "120ms"}})),
            360000);
}

TEST(ProviderErrors, CutsWhatLooksLikeAKey) {
  EXPECT_EQ(cut_keys("Incorrect API key provided: sk-proj-abc_DEF123. See"),
            "Incorrect API key provided: [redacted]. See");
  EXPECT_EQ(cut_keys("key <not-a-r****key>!"), "key <[redacted]>!");
  EXPECT_EQ(cut_keys("\"gsk_0123456789\",AIzaSyA-1234567"), "\"[redacted]\",[redacted]");
  EXPECT_EQ(cut_keys("a task-oriented risk-free sk-8 text"), "a task-oriented risk-free sk-8 text");
  EXPECT_EQ(cut_keys(""), "");
}

TEST(ProviderErrors, CutsTheConfiguredKey) {
  EXPECT_EQ(cut_secret("a secret-value b secret-value", "secret-value"),
            "a [redacted] b [redacted]");
  EXPECT_EQ(cut_secret("a b c", "b"), "a b c");
  EXPECT_EQ(cut_secret("a b c", ""), "a b c");
}

TEST(ProviderErrors, MessagesAreBoundedAndStayUtf8) {
  std::string euros;
  for (int i = 0; i < 1000; ++i)
    euros += "\xE2\x82\xAC";
  const std::string message = clean_message(euros);
  EXPECT_EQ(message.size(), 999U);
  EXPECT_EQ(message, euros.substr(0, 999));
}

TEST(ProviderErrors, ShowsTheBeginningOfAnUnreadableBody) {
  EXPECT_EQ(unreadable_body_message({502, {}, "<html>\n<b>Bad\xFF</b> sk-0123456789"}),
            "The provider answered with status 502 and a body that is not its JSON: "
            "<html> <b>Bad </b> [redacted]");
  EXPECT_EQ(unreadable_body_message({500, {}, ""}),
            "The provider answered with status 500 and no body.");
}

} // namespace
} // namespace holdfast::provider
