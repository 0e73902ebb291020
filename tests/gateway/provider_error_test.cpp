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

TEST(ProviderErrors, ACutLeavesNoHalfOfAKey) {
  const std::string secret = "0123456789abcdef0123456789abcdef.x/y+z=";
  for (std::size_t before = 960; before <= 1000; ++before)
    EXPECT_EQ(clean_message(std::string(before - 1, '.') + " " + secret + " and more").find("0123"),
              before + secret.size() <= 1000 ? before : std::string::npos)
        << before;
  EXPECT_EQ(unreadable_body_message({500, {}, std::string(190, ' ') + "key:" + secret}),
            unreadable_body_message({500, {}, std::string(190, ' ') + "key:"}));
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
