// TLS towards clients: the certificate, and one connection's session. OpenSSL does the work.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

struct ssl_st;
struct ssl_ctx_st;

namespace holdfast::gateway {

struct TlsSettings {
  std::string certificate_path; // PEM: the certificate, then those that it is signed with
  std::string key_path;         // PEM, without a password
};

// What is wrong with a certificate or its key, as a sentence.
struct TlsFault {
  std::string what;
};

// What connections are served with: TLS 1.2 and 1.3. Safe to use from many threads.
class TlsContext {
public:
  static std::variant<std::shared_ptr<const TlsContext>, TlsFault>
  make(const TlsSettings& settings);

private:
  friend class TlsSession;
  TlsContext();
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_;
};

// One connection, over a socket that does not block and that outlives it. Whoever calls waits for
// what is needed and calls again. For one thread at a time.
class TlsSession {
public:
  // `ended`: the client sends no more.
  enum class Need { nothing, readable, writable, ended, failed };
  struct Outcome {
    Need need = Need::failed;
    std::size_t bytes = 0; // sent or received
  };

  // Throws std::runtime_error when there is no memory.
  TlsSession(const TlsContext& context, int socket);

  Outcome shake_hands();
  Outcome receive(char* data, std::size_t size);
  Outcome send(std::string_view data); // what was not sent must be sent next

  // Whether something has arrived that the socket no longer has.
  bool has_pending() const;

  // Tells the client that nothing more comes.
  void say_goodbye();

  // Why it failed, in OpenSSL's words.
  const std::string& fault() const { return fault_; }

private:
  Outcome outcome(int result);

  std::unique_ptr<ssl_st, void (*)(ssl_st*)> session_;
  bool failed_ = false;
  std::string fault_;
};

} // namespace holdfast::gateway
