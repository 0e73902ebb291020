#include "gateway/tls.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdexcept>

namespace holdfast::gateway {
namespace {

// A client that offers protocols, but not this one, would not understand what it is answered.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length,
                    const unsigned char* offered, unsigned int offered_length, void*) {
  static constexpr std::array<unsigned char, 9> kHttp = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, length, kHttp.data(), kHttp.size(), offered, offered_length);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Nobody is there to be asked for one.
int no_password(char*, int, int, void*) {
  return -1;
}

// What OpenSSL found wrong last, and forgets.
std::string last_fault() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "connection closed" : reason;
}

int most_of(std::size_t size) {
  return static_cast<int>(std::min<std::size_t>(size, INT_MAX));
}

} // namespace

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  SSL_CTX* context = context_.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
    throw std::runtime_error("OpenSSL cannot be used: " + last_fault());
  // An answer is sent from wherever it lies; a connection at rest keeps no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // HTTP tells by itself whether all of a request has come.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Clients keep their sessions, as tickets.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set_default_passwd_cb(context, no_password);
}

std::variant<std::shared_ptr<const TlsContext>, TlsFault>
TlsContext::make(const TlsSettings& settings) {
  ERR_clear_error();
  std::shared_ptr<TlsContext> made(new TlsContext());
  SSL_CTX* context = made->context_.get();
  if (SSL_CTX_use_certificate_chain_file(context, settings.certificate_path.c_str()) != 1)
    return TlsFault{settings.certificate_path +
                    " has no certificate in PEM that can be used: " + last_fault()};
  if (SSL_CTX_use_PrivateKey_file(context, settings.key_path.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    return TlsFault{settings.key_path + " has no private key in PEM, without a password, of " +
                    settings.certificate_path + ": " + last_fault()};
  return std::shared_ptr<const TlsContext>(std::move(made));
}

TlsSession::TlsSession(const TlsContext& context, int socket)
    : session_(SSL_new(context.context_.get()), SSL_free) {
  if (!session_ || SSL_set_fd(session_.get(), socket) != 1)
    throw std::runtime_error("there is no memory for a TLS connection");
  SSL_set_accept_state(session_.get());
}

TlsSession::Outcome TlsSession::outcome(int result) {
  if (result > 0) return {Need::nothing, static_cast<std::size_t>(result)};
  switch (SSL_get_error(session_.get(), result)) {
  case SSL_ERROR_WANT_READ:
    return {Need::readable, 0};
  case SSL_ERROR_WANT_WRITE:
    return {Need::writable, 0};
  case SSL_ERROR_ZERO_RETURN:
    return {Need::ended, 0};
  default:
    failed_ = true;
    fault_ = last_fault();
    return {Need::failed, 0};
  }
}

TlsSession::Outcome TlsSession::shake_hands() {
  ERR_clear_error();
  return outcome(SSL_do_handshake(session_.get()));
}

TlsSession::Outcome TlsSession::receive(char* data, std::size_t size) {
  ERR_clear_error();
  return outcome(SSL_read(session_.get(), data, most_of(size)));
}

TlsSession::Outcome TlsSession::send(std::string_view data) {
  ERR_clear_error();
  return outcome(SSL_write(session_.get(), data.data(), most_of(data.size())));
}

bool TlsSession::has_pending() const {
  return SSL_pending(session_.get()) > 0;
}

void TlsSession::say_goodbye() {
  if (failed_ || SSL_is_init_finished(session_.get()) != 1) return;
  ERR_clear_error();
  SSL_shutdown(session_.get());
  ERR_clear_error();
}

} // namespace holdfast::gateway
