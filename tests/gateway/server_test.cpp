#include "gateway/server.hpp"

#include <future>
#include <gtest/gtest.h>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostBytes = 1000;

Route route(const std::string& method, const std::string& path) {
  return {method, path,
          [](RequestContext&, const httplib::Request&, const std::string& body,
             httplib::Response& response) {
            if (body == "\"throw\"") throw std::runtime_error("a secret reason");
            response.set_content("[" + body + "]", "application/json");
          }};
}

std::vector<Route> routes() {
  return {route("GET", "/api/one"), route("POST", "/v1/two")};
}

httplib::Request request(const std::string& method, const std::string& path,
                         const httplib::Headers& headers = {}) {
  httplib::Request made;
  made.method = method;
  made.path = path;
  made.headers = headers;
  return made;
}

int head_status(const httplib::Request& asked) {
  const auto error = check_head(asked, routes(), kMostBytes);
  return error ? error->status : 0;
}

TEST(CheckHeadTest, RoutesAndMethods) {
  EXPECT_EQ(head_status(request("GET", "/api/one")), 0);
  EXPECT_EQ(head_status(request("HEAD", "/api/one")), 0);
  EXPECT_EQ(head_status(request("GET", "/api/one/")), 404);
  EXPECT_EQ(head_status(request("POST", "/api/one")), 405);
  const auto error = check_head(request("GET", "/v1/two"), routes(), kMostBytes);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->status, 405);
  ASSERT_EQ(error->headers.size(), 1U);
  EXPECT_EQ(error->headers[0], std::make_pair(std::string("Allow"), std::string("POST")));
}

TEST(CheckHeadTest, PartsOfAPath) {
  const std::vector<Route> some = {route("GET", "/api/runs/{id}"),
                                   route("POST", "/api/runs/{id}/cancel")};
  const auto status = [&](const char* method, const char* path) {
    const auto error =
        check_head(request(method, path, {{"Content-Type", "application/json"}}), some, kMostBytes);
    return error ? error->status : 0;
  };
  EXPECT_EQ(status("GET", "/api/runs/7"), 0);
  EXPECT_EQ(status("POST", "/api/runs/7/cancel"), 0);
  EXPECT_EQ(status("GET", "/api/runs/7/cancel"), 405);
  EXPECT_EQ(status("POST", "/api/runs/7"), 405);
  for (const char* path :
       {"/api/runs", "/api/runs/", "/api/runs//cancel", "/api/runs/7/", "/api/runs/7/8"})
    EXPECT_EQ(status("GET", path), 404) << path;
}

TEST(CheckHeadTest, MediaType) {
  const auto status = [](const httplib::Headers& headers) {
    return head_status(request("POST", "/v1/two", headers));
  };
  EXPECT_EQ(status({{"Content-Type", "application/json"}}), 0);
  EXPECT_EQ(status({{"Content-Type", "Application/JSON ; charset=utf-8"}}), 0);
  EXPECT_EQ(status({}), 415);
  EXPECT_EQ(status({{"Content-Type", "text/plain"}}), 415);
  EXPECT_EQ(status({{"Content-Type", "multipart/form-data; boundary=x"}}), 415);
  EXPECT_EQ(status({{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}), 415);
  EXPECT_EQ(status({{"Content-Type", "application/json"}, {"Content-Encoding", "identity"}}), 0);
}

TEST(CheckHeadTest, BodyLengthMustBeCertainAndBounded) {
  const auto status = [](httplib::Headers headers) {
    headers.emplace("Content-Type", "application/json");
    return head_status(request("POST", "/v1/two", headers));
  };
  EXPECT_EQ(status({{"Content-Length", "1000"}}), 0);
  EXPECT_EQ(status({{"Transfer-Encoding", "chunked"}}), 0);
  EXPECT_EQ(status({{"Content-Length", "1001"}}), 413);
  EXPECT_EQ(status({{"Content-Length", "99999999999999999999"}}), 413);
  EXPECT_EQ(status({{"Content-Length", "-1"}}), 400);
  EXPECT_EQ(status({{"Content-Length", "0x10"}}), 400);
  EXPECT_EQ(status({{"Content-Length", ""}}), 400);
  EXPECT_EQ(status({{"Content-Length", "1"}, {"Content-Length", "1"}}), 400);
  EXPECT_EQ(status({{"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}}), 400);
  EXPECT_EQ(status({{"Transfer-Encoding", "gzip, chunked"}}), 400);
}

// A server on a free port of the loopback, serving until it is destroyed.
class RunningServer {
public:
  RunningServer() : server_({2, kMostBytes, {}}, routes()) {
    port_ = server_.bind("127.0.0.1", 0);
    serving_ = std::async(std::launch::async, [this] { return server_.serve(); });
  }
  ~RunningServer() { EXPECT_TRUE(stop()); }

  bool stop() {
    server_.stop();
    return !serving_.valid() || serving_.get();
  }
  int port() const { return port_; }

private:
  Server server_;
  int port_ = 0;
  std::future<bool> serving_;
};

TEST(ServerTest, AnswersOverARealSocket) {
  const RunningServer server;
  httplib::Client client("127.0.0.1", server.port());
  client.set_keep_alive(true);
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.Post("/v1/two", "{}", "application/json");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "[{}]");
    EXPECT_EQ(answer->get_header_value("X-Holdfast-Request").size(), 36U);
  }
}

TEST(ServerTest, AnExceptionIsA500ThatSaysNothing) {
  const RunningServer server;
  httplib::Client client("127.0.0.1", server.port());
  const auto answer = client.Post("/v1/two", "\"throw\"", "application/json");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->body.find("secret"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(answer->body)["error"]["code"], "internal_error");
}

TEST(ServerTest, ChunkedBodyIsBoundedToo) {
  const RunningServer server;
  httplib::Client client("127.0.0.1", server.port());
  const std::string piece(600, ' ');
  const auto answer = client.Post(
      "/v1/two",
      [&](std::size_t offset, httplib::DataSink& sink) {
        if (offset < 1200) return sink.write(piece.data(), piece.size());
        sink.done();
        return true;
      },
      "application/json");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
}

TEST(ServerTest, TakenAddressIsAnError) {
  const RunningServer server;
  Server second({1, kMostBytes, {}}, routes());
  EXPECT_THROW(second.bind("127.0.0.1", server.port()), std::runtime_error);
}

} // namespace
} // namespace holdfast::gateway
