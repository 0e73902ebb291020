// One client's connection, as a stream with bounds that the HTTP library lacks.
#pragma once

#include "gateway/http_library.hpp"
#include "gateway/tls.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::gateway {

// Owns the socket. An answer's head goes out together with what follows it. What one request may
// send is bounded in bytes and in time as a whole, so that neither endless headers nor a trickle of
// bytes keeps a worker; while others wait, a trickle is not waited for at all. A read or write that
// meets a bound fails.
class ClientSocket : public httplib::Stream {
public:
  using Clock = std::chrono::steady_clock;
  struct Address {
    std::string ip; // "" when it cannot be told
    int port = 0;
  };
  enum class Trouble { none, too_many_bytes, too_slow };
  enum class Handshake { over, waiting, failed, no_tls };

  // `others_wait` tells whether connections wait for a worker; it is asked while this one waits.
  // With `tls`, requests come through it once the handshake is over.
  ClientSocket(socket_t socket, std::function<bool()> others_wait,
               std::shared_ptr<const TlsContext> tls = nullptr);
  ~ClientSocket() override;
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  // Sets what may still be read, from now on.
  void allow(std::size_t bytes, std::chrono::milliseconds time);

  // Why the last read failed.
  Trouble trouble() const { return trouble_; }

  // Whether requests may come.
  bool is_secured() const { return secured_; }

  // Goes on with the handshake as far as the client's bytes go, without waiting for more. `no_tls`:
  // the client speaks something else, and what is written to it goes out as it is.
  Handshake shake_hands();

  // Why it failed, in OpenSSL's words.
  std::string handshake_fault() const { return tls_ ? tls_->fault() : ""; }

  // Whether a request's first byte is there, waiting for it at most that long.
  bool wait_for_data(std::chrono::milliseconds time) const;

  // Sends what is still to go out: a head without a body.
  bool flush() const;

  // Lets go of what only a request needs. Nothing may be waiting to be read.
  void rest();

  // How many requests it has brought.
  int requests = 0;
  const Clock::time_point since = Clock::now();
  int descriptor() const { return socket_; }

  // Whether the client has closed its side, or the connection is broken.
  bool peer_has_closed() const;

  // Ends our side: what was sent is all that the client gets.
  void end();
  std::optional<Clock::time_point> ended() const { return ended_; }

  // Throws away what the client still sends. False when it has nothing more to say.
  bool drain();

  // Ends our side, and waits briefly for the client to take what was sent: closing with unread data
  // would make the kernel throw it away.
  void linger(std::chrono::milliseconds time);

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  // The library only compares it with FD_SETSIZE, a bound of select() that poll() does not have.
  socket_t socket() const override { return 0; }

private:
  bool fill();
  bool is_trickle() const;
  ssize_t receive();
  ssize_t receive_secured();
  bool send_all(std::string_view first, std::string_view second) const;
  bool send_secured(std::string_view data) const;

  socket_t socket_;
  std::function<bool()> others_wait_;
  std::shared_ptr<const TlsContext> context_; // until there is a session
  bool secured_;
  mutable std::optional<TlsSession> tls_;
  std::vector<char> buffer_;
  mutable std::string head_;              // not sent yet
  mutable std::optional<Address> remote_; // asked for once
  mutable std::optional<Address> local_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t allowed_bytes_ = 0;
  std::size_t read_bytes_ = 0;
  Clock::time_point read_since_;
  Clock::time_point read_until_;
  Trouble trouble_ = Trouble::none;
  std::optional<Clock::time_point> ended_;
};

} // namespace holdfast::gateway
