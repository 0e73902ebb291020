#include "gateway/http_error.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

using nlohmann::json;

ProviderError provider_error(ErrorClass error_class) {
  ProviderError error;
  error.error_class = error_class;
  error.status = 418;
  error.message = "Key sk-123 is bad";
  return error;
}

TEST(HttpErrorTest, ShapeGoesByPath) {
  EXPECT_EQ(error_shape("/v1/chat/completions"), ErrorShape::openai);
  EXPECT_EQ(error_shape("/v1"), ErrorShape::openai);
  EXPECT_EQ(error_shape("/v10"), ErrorShape::api);
  EXPECT_EQ(error_shape("/api/ai/generate"), ErrorShape::api);
  EXPECT_EQ(error_shape(""), ErrorShape::api);
}

TEST(HttpErrorTest, BothShapesSayTheSame) {
  HttpError error(402, "budget_exceeded", "No.", "field");
  error.details = {{"limitUSD", "1.10"}, {"code", "\"mine\""}, {"success", "true"}};
  EXPECT_EQ(error_body(error, ErrorShape::api, "r1"),
            R"({"success":false,"error":"No.","code":"budget_exceeded","requestId":"r1",)"
            R"("param":"field","limitUSD":1.10})");
  const json openai = json::parse(error_body(error, ErrorShape::openai, "r1"));
  EXPECT_EQ(openai, json({{"error",
                           {{"message", "No."},
                            {"type", "insufficient_quota"},
                            {"param", "field"},
                            {"code", "budget_exceeded"}}}}));
}

TEST(HttpErrorTest, ConflictOverNoKeyIsNotCalledAReusedKey) {
  EXPECT_EQ(
      error_from_database({"PT409", "the run has ended", R"({"status":"completed"})", ""}).code,
      "conflict");
}

TEST(HttpErrorTest, DatabaseRefusalsCarryTheirStatusDetailAndHint) {
  const HttpError error =
      error_from_database({"PT409", "the key was used before",
                           R"({"idempotencyKey":"k","costUSD":0.10})", "use a new one"});
  EXPECT_EQ(error.status, 409);
  EXPECT_EQ(error.code, "idempotency_key_reused");
  EXPECT_EQ(error.message, "The key was used before. Use a new one.");
  const std::vector<RawMember> details = {{"idempotencyKey", "\"k\""}, {"costUSD", "0.10"}};
  EXPECT_EQ(error.details, details);
}

TEST(HttpErrorTest, DatabaseDetailMayNameTheCode) {
  EXPECT_EQ(error_from_database({"PT403", "m", R"({"code":"role_too_low"})", ""}).code,
            "role_too_low");
  EXPECT_EQ(error_from_database({"PT403", "m", R"({"code":5})", ""}).code, "forbidden");
  EXPECT_EQ(error_from_database({"PT403", "m", "not json", ""}).details.size(), 0U);
}

TEST(HttpErrorTest, OtherDatabaseErrorsTellNothing) {
  for (const char* sqlstate : {"42883", "XX000", "PT999", "PT1", "PTabc", "23505"}) {
    const HttpError error = error_from_database({sqlstate, "relation secret_table", "", "hint"});
    EXPECT_EQ(error.status, 500) << sqlstate;
    EXPECT_EQ(error.message.find("secret_table"), std::string::npos);
  }
  EXPECT_EQ(error_from_database({"22P05", "no such character", "", ""}).status, 400);
  for (const char* sqlstate : {"57014", "40001", "40P01", "53300", "08006", "55P03"}) {
    const HttpError error = error_from_database({sqlstate, "m", "", ""});
    EXPECT_EQ(error.status, 503) << sqlstate;
    EXPECT_TRUE(error.retry_after_s) << sqlstate;
  }
}

TEST(HttpErrorTest, ProviderClassesMapToStatuses) {
  const std::vector<std::pair<ErrorClass, int>> expected = {
      {ErrorClass::auth, 502},           {ErrorClass::invalid_request, 400},
      {ErrorClass::context_length, 400}, {ErrorClass::content_filter, 400},
      {ErrorClass::rate_limit, 429},     {ErrorClass::quota_exhausted, 429},
      {ErrorClass::overloaded, 503},     {ErrorClass::timeout, 504},
      {ErrorClass::network, 502},        {ErrorClass::server, 502}};
  for (const auto& [error_class, status] : expected) {
    EXPECT_EQ(error_from_provider(provider_error(error_class), "openai").status, status)
        << error_class_name(error_class);
  }
}

TEST(HttpErrorTest, AuthFailureQuotesNothing) {
  const HttpError error = error_from_provider(provider_error(ErrorClass::auth), "openai");
  EXPECT_EQ(error.code, "provider_auth");
  EXPECT_EQ(error.message.find("sk-123"), std::string::npos);
}

TEST(HttpErrorTest, RetryAfterIsInWholeSecondsRoundedUp) {
  ProviderError limited = provider_error(ErrorClass::rate_limit);
  EXPECT_EQ(error_from_provider(limited, "p").retry_after_s, 5);
  limited.retry_after_ms = 1001;
  EXPECT_EQ(error_from_provider(limited, "p").retry_after_s, 2);
  limited.retry_after_ms = 0;
  EXPECT_EQ(error_from_provider(limited, "p").retry_after_s, 1);
  EXPECT_FALSE(error_from_provider(provider_error(ErrorClass::server), "p").retry_after_s);
}

TEST(HttpErrorTest, LongWordsOfAProviderAreCutAtACharacter) {
  ProviderError error = provider_error(ErrorClass::server);
  error.message = std::string(499, 'a') + "\xc3\xa9" + std::string(1000, 'b');
  const HttpError told = error_from_provider(error, "p");
  EXPECT_LT(told.message.size(), 600U);
  EXPECT_TRUE(json::accept("\"" + told.message + "\""));
}

TEST(HttpErrorTest, DenialHasTheFiguresAsTheyAre) {
  OpenedCall call;
  call.scope = "workflow";
  call.limit_usd = "1.00";
  call.spent_usd = "0.900000000000000000001";
  call.held_usd = "0.05";
  call.estimated_cost = "0.06";
  call.remaining_usd = "0.04";
  const HttpError error = error_from_denial(call);
  EXPECT_EQ(error.status, 402);
  const std::string body = error_body(error, ErrorShape::api, "r");
  for (const char* part :
       {R"("scope":"workflow")", R"("limitUSD":1.00)", R"("spentUSD":0.900000000000000000001)",
        R"("heldUSD":0.05)", R"("requestedUSD":0.06)"}) {
    EXPECT_NE(body.find(part), std::string::npos) << part;
  }
  ASSERT_EQ(error.headers.size(), 1U);
  EXPECT_EQ(error.headers[0].second, "0.04");
}

TEST(HttpErrorTest, RateLimitSaysWhoseAndWhen) {
  OpenedCall call;
  call.rate = RateFigures{"api_key", 500, 0, 1'500};
  call.retry_after_ms = 61'001;
  const HttpError error = error_from_rate_limit(call);
  EXPECT_EQ(error.status, 429);
  EXPECT_EQ(error.code, "rate_limited");
  EXPECT_EQ(error.retry_after_s, 62);
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"RateLimit-Limit", "500"}, {"RateLimit-Remaining", "0"}, {"RateLimit-Reset", "2"}};
  EXPECT_EQ(error.headers, headers);
  EXPECT_NE(error_body(error, ErrorShape::api, "r").find(R"("layer":"api_key")"),
            std::string::npos);
}

TEST(HttpErrorTest, InFlightSaysWhenToComeBack) {
  OpenedCall call;
  call.retry_after_ms = 2500;
  EXPECT_EQ(error_in_flight(call).status, 409);
  EXPECT_EQ(error_in_flight(call).retry_after_s, 3);
}

} // namespace
} // namespace holdfast::gateway
