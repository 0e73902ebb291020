#include "gateway/server.hpp"

#include <atomic>
#include <cstdio>
#include <future>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

// A certificate that nobody but itself has signed, in files of its own.
class Certificate {
public:
  explicit Certificate(const std::string& name) {
    const std::string stem = testing::TempDir() + name + std::to_string(getpid());
    files = {stem + ".pem", stem + ".key"};
    const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
        EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, void (*)(X509*)> made(X509_new(), X509_free);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), key.get());
    EXPECT_GT(X509_sign(made.get(), key.get(), EVP_sha256()), 0);
    const std::unique_ptr<BIO, int (*)(BIO*)> to_certificate(
        BIO_new_file(files.certificate_path.c_str(), "w"), BIO_free);
    EXPECT_EQ(PEM_write_bio_X509(to_certificate.get(), made.get()), 1);
    const std::unique_ptr<BIO, int (*)(BIO*)> to_key(BIO_new_file(files.key_path.c_str(), "w"),
                                                     BIO_free);
    EXPECT_EQ(
        PEM_write_bio_PrivateKey(to_key.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr),
        1);
  }
  ~Certificate() {
    std::remove(files.certificate_path.c_str());
    std::remove(files.key_path.c_str());
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  TlsSettings files;
};

std::shared_ptr<const TlsContext> usable(const TlsSettings& files) {
  auto made = TlsContext::make(files);
  if (const auto* fault = std::get_if<TlsFault>(&made)) ADD_FAILURE() << fault->what;
  return std::get<std::shared_ptr<const TlsContext>>(made);
}

TEST(TlsTest, AKeyMustBeItsCertificates) {
  const Certificate one("one");
  const Certificate other("other");
  EXPECT_NE(usable(one.files), nullptr);
  const auto made = TlsContext::make({one.files.certificate_path, other.files.key_path});
  const auto* fault = std::get_if<TlsFault>(&made);
  ASSERT_NE(fault, nullptr);
  EXPECT_NE(fault->what.find("key values mismatch"), std::string::npos) << fault->what;
}

TEST(TlsTest, ManyConnectionsAtOnceWhileTheCertificateChanges) {
  constexpr int kClients = 8;
  constexpr int kConnections = 3;
  constexpr int kRequests = 3;
  const Certificate one("one");
  const Certificate other("other");
  const std::vector<std::shared_ptr<const TlsContext>> contexts = {usable(one.files),
                                                                   usable(other.files)};
  std::atomic<std::size_t> connections{0};
  Server server(
      {4, 1000, {}},
      {{"POST", "/v1/echo",
        [](RequestContext&, const httplib::Request&, const std::string& body,
           httplib::Response& response) { response.set_content(body, "application/json"); }}},
      [&] { return contexts[connections++ % contexts.size()]; });
  const int port = server.bind("127.0.0.1", 0);
  std::future<bool> serving = std::async(std::launch::async, [&] { return server.serve(); });
  std::vector<std::future<int>> clients;
  for (int number = 0; number < kClients; ++number)
    clients.push_back(std::async(std::launch::async, [&, number] {
      int answered = 0;
      for (int connection = 0; connection < kConnections; ++connection) {
        httplib::SSLClient client("127.0.0.1", port);
        client.enable_server_certificate_verification(false);
        client.set_keep_alive(true);
        const std::string body = std::to_string(number * kConnections + connection);
        for (int request = 0; request < kRequests; ++request) {
          const auto answer = client.Post("/v1/echo", body, "application/json");
          // Who is turned away is told so.
          if (answer && answer->status == 503) --request;
          if (answer && answer->body == body) ++answered;
          if (!answer) return answered;
        }
      }
      return answered;
    }));
  for (auto& client : clients)
    EXPECT_EQ(client.get(), kConnections * kRequests);
  server.stop();
  EXPECT_TRUE(serving.get());
}

} // namespace
} // namespace holdfast::gateway
