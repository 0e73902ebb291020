#include "gateway/correlation.hpp"
#include "gateway/request_context.hpp"

#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kParent = "00-" + kTrace + "-00f067aa0ba902b7-01";

RequestContext context_of(const httplib::Headers& headers) {
  httplib::Request request;
  request.headers = headers;
  RequestContext context;
  take_correlation(request, context);
  return context;
}

TEST(CorrelationTest, TheCallersIdIsTaken) {
  EXPECT_EQ(context_of({{"X-Correlation-Id", "order-17/3"}}).correlation_id, "order-17/3");
  const std::string longest(128, 'x');
  EXPECT_EQ(context_of({{"X-Correlation-Id", longest}}).correlation_id, longest);
}

TEST(CorrelationTest, WhatIsNoIdIsAsNone) {
  for (const std::string& text :
       {std::string(), std::string(129, 'x'), std::string("two words"), std::string("a\"b"),
        std::string("a{b}"), std::string("caf\xc3\xa9")}) {
    const RequestContext context = context_of({{"X-Correlation-Id", text}});
    EXPECT_EQ(context.correlation_id, context.request_id) << text;
  }
  const RequestContext twice = context_of({{"X-Correlation-Id", "a"}, {"X-Correlation-Id", "b"}});
  EXPECT_EQ(twice.correlation_id, twice.request_id);
}

TEST(CorrelationTest, ATraceIsCarriedOn) {
  const RequestContext context = context_of({{"traceparent", kParent}});
  EXPECT_EQ(context.correlation_id, kTrace);
  const auto told = parse_traceparent(context.traceparent);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->trace_id, kTrace);
  EXPECT_EQ(told->flags, "01");
  EXPECT_NE(context.traceparent, kParent);
  const RequestContext both = context_of({{"traceparent", kParent}, {"X-Correlation-Id", "mine"}});
  EXPECT_EQ(both.correlation_id, "mine");
  EXPECT_FALSE(both.traceparent.empty());
}

TEST(CorrelationTest, TraceParentsAreReadStrictly) {
  EXPECT_TRUE(parse_traceparent("01-" + kTrace + "-00f067aa0ba902b7-00-more"));
  for (const std::string& text :
       {std::string(), kParent.substr(1), kParent + "-more", "ff" + kParent.substr(2),
        "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01",
        "00-" + kTrace + "-0000000000000000-01", "00-" + kTrace + "-00F067AA0BA902B7-01",
        "01-" + kTrace + "-00f067aa0ba902b7-00more"})
    EXPECT_FALSE(parse_traceparent(text)) << text;
}

} // namespace
} // namespace holdfast::gateway
