#include "gateway/config.hpp"
#include "gateway/handler_telemetry.hpp"
#include "gateway/metrics.hpp"

#include <gtest/gtest.h>
#include <thread>

namespace holdfast::gateway {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(MetricsTest, RequestsAreCountedByRouteAndStatus) {
  Metrics metrics;
  metrics.count_request("GET /a", 200, 3);
  metrics.count_request("GET /a", 200, 70000);
  metrics.count_request("GET /a", 503, 0);
  const std::string text = metrics.text();
  EXPECT_TRUE(has_line(text, "# TYPE holdfast_http_requests_total counter"));
  EXPECT_TRUE(has_line(text, R"(holdfast_http_requests_total{route="GET /a",status="200"} 2)"));
  EXPECT_TRUE(has_line(text, R"(holdfast_http_requests_total{route="GET /a",status="503"} 1)"));
  const std::string bucket = R"(holdfast_http_request_duration_seconds_bucket{route="GET /a",le=")";
  EXPECT_TRUE(has_line(text, bucket + "0.001\"} 1"));
  EXPECT_TRUE(has_line(text, bucket + "0.005\"} 2"));
  EXPECT_TRUE(has_line(text, bucket + "60.000\"} 2"));
  EXPECT_TRUE(has_line(text, bucket + "+Inf\"} 3"));
  EXPECT_TRUE(
      has_line(text, R"(holdfast_http_request_duration_seconds_sum{route="GET /a"} 70.003)"));
  EXPECT_TRUE(has_line(text, R"(holdfast_http_request_duration_seconds_count{route="GET /a"} 3)"));
}

TEST(MetricsTest, AttemptsAreCountedByProviderAndOutcome) {
  Metrics metrics;
  metrics.count_attempt("openai", "ok", 120);
  metrics.count_attempt("openai", "timeout", -1);
  const std::string text = metrics.text();
  EXPECT_TRUE(
      has_line(text, R"(holdfast_provider_attempts_total{provider="openai",outcome="timeout"} 1)"));
  EXPECT_TRUE(has_line(text, R"(holdfast_provider_first_byte_seconds_count{provider="openai"} 1)"));
}

TEST(MetricsTest, LabelsAreBoundedAndEscaped) {
  Metrics metrics;
  for (int i = 0; i < 1000; ++i)
    metrics.count_request("GET /" + std::to_string(i), 200, 1);
  const std::string text = metrics.text();
  EXPECT_TRUE(has_line(text, R"(holdfast_http_requests_total{route="other",status="200"} 872)"));
  EXPECT_EQ(text.find("GET /999"), std::string::npos);
  EXPECT_EQ(metric_label("a", "x\"y\\z\n"), R"(a="x\"y\\z\n")");
}

TEST(MetricsTest, CountersOfManyThreadsAddUp) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n)
        metrics.count_request("GET /" + std::to_string(n % 3), 200, 1);
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_TRUE(has_line(metrics.text(),
                       R"(holdfast_http_requests_total{route="GET /0",status="200"} 2672)"));
}

httplib::Request asked(const std::string& address, const httplib::Headers& headers = {}) {
  httplib::Request request;
  request.remote_addr = address;
  request.headers = headers;
  return request;
}

TEST(MetricsTest, WithoutATokenOnlyThisMachineReadsThem) {
  const Config config;
  EXPECT_TRUE(may_read_metrics(config, asked("127.0.0.1")));
  EXPECT_TRUE(may_read_metrics(config, asked("::1")));
  EXPECT_FALSE(may_read_metrics(config, asked("10.0.0.1")));
  EXPECT_FALSE(may_read_metrics(config, asked("")));
  EXPECT_FALSE(may_read_metrics(config, asked("127.0.0.1", {{"X-Forwarded-For", "10.0.0.1"}})));
  EXPECT_FALSE(may_read_metrics(config, asked("127.0.0.1", {{"Forwarded", "for=10.0.0.1"}})));
}

TEST(MetricsTest, WithATokenWhoeverSendsIt) {
  Config config;
  config.metrics_token = "0123456789abcdef";
  EXPECT_TRUE(
      may_read_metrics(config, asked("10.0.0.1", {{"Authorization", "Bearer 0123456789abcdef"}})));
  EXPECT_FALSE(may_read_metrics(config, asked("127.0.0.1")));
  for (const char* wrong : {"Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Bearer ",
                            "0123456789abcdef", "Bearer 0123456789abcdef0"})
    EXPECT_FALSE(may_read_metrics(config, asked("127.0.0.1", {{"Authorization", wrong}}))) << wrong;
}

} // namespace
} // namespace holdfast::gateway
