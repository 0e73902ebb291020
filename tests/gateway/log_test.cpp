#include "gateway/log.hpp"
#include "gateway/request_context.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

class LogTest : public testing::Test {
protected:
  void TearDown() override { set_log_level(LogLevel::info); }

  template <typename Writing>
  static std::string written(Writing writing) {
    testing::internal::CaptureStderr();
    writing();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, ARecordIsOneLineOfJson) {
  RequestContext context;
  context.correlation_id = "order-17";
  context.organization_id = "an-organization";
  const std::string line = written([&] {
    LogRecord(LogLevel::warning, "trouble")
        .of(context)
        .add("status", 503)
        .add_decimal("costUSD", std::string("0.000000000000000001"))
        .message("two\nlines \"quoted\" \xff")
        .write();
  });
  ASSERT_EQ(line.find('\n'), line.size() - 1) << line;
  EXPECT_NE(line.find(R"("costUSD":0.000000000000000001,)"), std::string::npos) << line;
  const auto record = nlohmann::json::parse(line);
  EXPECT_EQ(record["level"], "warning");
  EXPECT_EQ(record["event"], "trouble");
  EXPECT_EQ(record["requestId"], context.request_id);
  EXPECT_EQ(record["correlationId"], "order-17");
  EXPECT_EQ(record["organizationId"], "an-organization");
  EXPECT_EQ(record["status"], 503);
  EXPECT_EQ(record["time"].get<std::string>().size(), 24U);
}

TEST_F(LogTest, WhatIsBelowTheLevelIsLeftOut) {
  set_log_level(LogLevel::warning);
  EXPECT_EQ(written([] { log_event(LogLevel::info, "quiet", "nothing"); }), "");
  EXPECT_NE(written([] { log_event(LogLevel::warning, "loud", "something"); }), "");
  EXPECT_NE(written([] { log_event(LogLevel::error, "loud", "something"); }), "");
}

TEST_F(LogTest, LongTextIsCut) {
  const std::string line =
      written([] { log_event(LogLevel::error, "long", std::string(100000, 'x')); });
  EXPECT_LT(line.size(), 3000U);
}

TEST_F(LogTest, LevelsHaveNames) {
  EXPECT_EQ(log_level_named("debug"), LogLevel::debug);
  EXPECT_EQ(log_level_named("error"), LogLevel::error);
  EXPECT_FALSE(log_level_named("Error"));
  EXPECT_FALSE(log_level_named(""));
}

TEST_F(LogTest, MessagesNameNoPeopleAndNoKeys) {
  const auto tell = [] {
    log_event(LogLevel::error, "tried", "it says \nada@example.com, sk-0123-4567-89ab-cdef-ghij");
  };
  const std::string line = written(tell);
  EXPECT_NE(line.find(R"(it says \n[REDACTED:EMAIL], [REDACTED:CREDENTIAL]")"), line.npos) << line;
  set_log_redaction(false);
  EXPECT_NE(written(tell).find("ada@example.com"), line.npos);
  set_log_redaction(true);
}

} // namespace
} // namespace holdfast::gateway
