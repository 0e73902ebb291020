#include "gateway/providers/retry_delay.hpp"

#include <gtest/gtest.h>

namespace holdfast::provider {
namespace {

TEST(RetryDelay, ReadsDurations) {
  const std::vector<std::pair<const char*, std::optional<int>>> cases = {
      {"120ms", 120},       {"6m0s", 360000},        {"1s", 1000},          {"0s", 0},
      {"1h2m3s", 3723000},  {"2m59.56s", 179560},    {"1.5ms", 2},          {"500us", 1},
      {"2d", 86400000},     {"99999999h", 86400000}, {"", std::nullopt},    {"12", std::nullopt},
      {"s", std::nullopt},  {"-5s", std::nullopt},   {"5 s", std::nullopt}, {"1x", std::nullopt},
      {".s", std::nullopt}, {"1e3s", std::nullopt}};
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(parse_duration_ms(text), expected) << text;
}

TEST(RetryDelay, AFractionMayHaveAnyNumberOfDigits) {
  EXPECT_EQ(parse_duration_ms("0." + std::string(400, '5') + "s"), 556);
  EXPECT_EQ(parse_duration_ms(std::string(400, '5') + "." + std::string(400, '5') + "s"), 86400000);
}

TEST(RetryDelay, ReadsHttpDates) {
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

TEST(RetryDelay, RetryAfterInSecondsOrMilliseconds) {
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

TEST(RetryDelay, RetryAfterAsADateCountsFromTheAnswersDate) {
  const std::string now = "Sun, 06 Nov 1994 08:49:37 GMT";
  const std::string later = "Sun, 06 Nov 1994 08:50:07 GMT";
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"date", now}, {"retry-after", later}})), 30000);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"date", later}, {"retry-after", now}})), 0);
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"retry-after", later}})), std::nullopt);
}

TEST(RetryDelay, RetryAfterFromTheResetOfWhatIsUsedUp) {
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

TEST(RetryDelay, ReadsMoments) {
  EXPECT_EQ(parse_rfc3339("1994-11-06T08:49:37Z"), 784111777);
  EXPECT_EQ(parse_rfc3339("1994-11-06T08:49:37.999Z"), 784111777);
  EXPECT_EQ(parse_rfc3339("1994-11-06t10:49:37+02:00"), 784111777);
  EXPECT_EQ(parse_rfc3339("1994-11-06T03:19:37-0530"), 784111777);
  for (const char* bad :
       {"", "1994-11-06", "1994-11-06T08:49:37", "1994-11-06 08:49:37Z", "1994-13-06T08:49:37Z",
        "1994-11-06T28:49:37Z", "1994-11-06T08:49:37+2", "1994-11-06T08:49:37+02:0a",
        "1994-11-6T08:49:37Z", "1994-11-06T08:49:37Zulu"})
    EXPECT_EQ(parse_rfc3339(bad), std::nullopt) << bad;
}

TEST(RetryDelay, ResetsAreDurationsSecondsOrMoments) {
  const std::string now = "Sun, 06 Nov 1994 08:49:37 GMT"; // 784111777
  const std::vector<std::pair<const char*, std::optional<int>>> cases = {
      {"2m59.56s", 179560},
      {"2", 2000},
      {"0.5", 500},
      {"1994-11-06T08:50:07Z", 30000},
      {"1994-11-06T08:40:00Z", 0},
      {"soon", std::nullopt},
      {"9e9", std::nullopt}};
  for (const auto& [value, expected] : cases)
    EXPECT_EQ(retry_after_ms(with_headers(429, {{"date", now}, {"x-ratelimit-reset", value}})),
              expected)
        << value;
}

TEST(RetryDelay, UnixTimesCountFromTheAnswersDate) {
  const std::string now = "Fri, 07 Mar 2025 00:00:00 GMT"; // 1741305600
  for (const char* due : {"1741305630", "1741305630000", "1741305629001"})
    EXPECT_EQ(retry_after_ms(with_headers(429, {{"date", now}, {"x-ratelimit-reset", due}})), 30000)
        << due;
  EXPECT_EQ(retry_after_ms(with_headers(429, {{"x-ratelimit-reset", "1741305630"}})), std::nullopt);
  EXPECT_EQ(retry_after_ms(
                with_headers(429, {{"date", now}, {"x-ratelimit-reset", "99999999999999999"}})),
            std::nullopt);
}

TEST(RetryDelay, AnthropicsLimitThatIsUsedUpCounts) {
  EXPECT_EQ(retry_after_ms(with_headers(
                429, {{"date", "Sun, 06 Nov 1994 08:49:37 GMT"},
                      {"anthropic-ratelimit-requests-remaining", "7"},
                      {"anthropic-ratelimit-requests-reset", "1994-11-06T08:59:37Z"},
                      {"anthropic-ratelimit-output-tokens-remaining", "0"},
                      {"anthropic-ratelimit-output-tokens-reset", "1994-11-06T08:49:42Z"}})),
            5000);
}

} // namespace
} // namespace holdfast::provider
