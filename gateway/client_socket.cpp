#include "gateway/client_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

namespace holdfast::gateway {
namespace {

constexpr std::chrono::milliseconds kWriteWait{30000};
constexpr std::size_t kBufferBytes = 8192;

// While others wait, a request may take this long, and longer when it comes at this rate.
constexpr std::chrono::milliseconds kShortWait{1000};
constexpr std::chrono::milliseconds kWaitSlice{50};
constexpr std::size_t kLeastBytesPerMs = 16;

constexpr char kTlsHandshake = 0x16; // the first byte of every handshake
constexpr std::size_t kRecordBytes = 16384;

// What poll() says of the socket within the time; 0 when nothing.
short poll_socket(socket_t socket, short events, std::chrono::milliseconds time) {
  const auto until = ClientSocket::Clock::now() + time;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - ClientSocket::Clock::now());
    pollfd entry{socket, events, 0};
    const int found = poll(&entry, 1, static_cast<int>(std::max<long long>(left.count(), 0)));
    if (found > 0) return entry.revents;
    if (found == 0 || errno != EINTR) return 0;
  }
}

// The head of an answer, which its body follows at once. (100 Continue has none.)
bool is_head(std::string_view text) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  return text.size() > 16 && text.size() <= kBufferBytes && text.substr(0, 9) == "HTTP/1.1 " &&
         text[9] != '1' && text.substr(text.size() - kEnd.size()) == kEnd;
}

// The address of one end of a connection, as getpeername() or getsockname() tells it.
ClientSocket::Address address_of(socket_t socket, int (*tell)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  auto* bytes = reinterpret_cast<sockaddr*>(&address);
  if (tell(socket, bytes, &size) != 0 ||
      getnameinfo(bytes, size, host.data(), host.size(), service.data(), service.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  return {host.data(), std::atoi(service.data())};
}

} // namespace

ClientSocket::ClientSocket(socket_t socket, std::function<bool()> others_wait,
                           std::shared_ptr<const TlsContext> tls)
    : socket_(socket), others_wait_(std::move(others_wait)), context_(std::move(tls)),
      secured_(context_ == nullptr) {}

ClientSocket::~ClientSocket() {
  if (tls_) tls_->say_goodbye();
  close(socket_);
}

ClientSocket::Handshake ClientSocket::shake_hands() {
  if (!tls_) {
    char first = 0;
    const ssize_t seen = recv(socket_, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return Handshake::waiting;
    if (seen <= 0) return Handshake::failed;
    if (first != kTlsHandshake) return Handshake::no_tls;
    // OpenSSL reads and writes by itself, and must not wait.
    if (fcntl(socket_, F_SETFL, O_NONBLOCK) != 0) return Handshake::failed;
    tls_.emplace(*context_, socket_);
    context_.reset();
  }
  for (;;) {
    switch (tls_->shake_hands().need) {
    case TlsSession::Need::nothing:
      secured_ = true;
      return Handshake::over;
    case TlsSession::Need::readable:
      return Handshake::waiting;
    case TlsSession::Need::writable:
      if (poll_socket(socket_, POLLOUT, kShortWait) != POLLOUT) return Handshake::failed;
      break;
    default:
      return Handshake::failed;
    }
  }
}

void ClientSocket::allow(std::size_t bytes, std::chrono::milliseconds time) {
  allowed_bytes_ = bytes;
  read_bytes_ = 0;
  read_since_ = Clock::now();
  read_until_ = read_since_ + time;
  trouble_ = Trouble::none;
}

bool ClientSocket::wait_for_data(std::chrono::milliseconds time) const {
  return begin_ < end_ || (tls_ && tls_->has_pending()) || poll_socket(socket_, POLLIN, time) != 0;
}

bool ClientSocket::peer_has_closed() const {
  const short seen = poll_socket(socket_, POLLRDHUP, std::chrono::milliseconds(0));
  return (seen & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void ClientSocket::end() {
  flush();
  if (tls_) tls_->say_goodbye();
  shutdown(socket_, SHUT_WR);
  ended_ = Clock::now();
}

bool ClientSocket::drain() {
  buffer_.resize(kBufferBytes);
  const ssize_t received = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  return received > 0 ||
         (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

void ClientSocket::linger(std::chrono::milliseconds time) {
  end();
  const auto until = Clock::now() + time;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0 || poll_socket(socket_, POLLIN, left) == 0 || !drain()) return;
  }
}

bool ClientSocket::is_readable() const {
  return wait_for_data(std::chrono::milliseconds(0));
}

bool ClientSocket::is_writable() const {
  // Before a piece of a stream: its head goes out even if that piece is long in coming.
  if (!head_.empty() && !flush()) return false;
  return poll_socket(socket_, POLLOUT, kWriteWait) == POLLOUT && !peer_has_closed();
}

ssize_t ClientSocket::receive() {
  buffer_.resize(kBufferBytes);
  return tls_ ? receive_secured() : recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
}

// As recv() does it.
ssize_t ClientSocket::receive_secured() {
  const auto outcome = tls_->receive(buffer_.data(), buffer_.size());
  switch (outcome.need) {
  case TlsSession::Need::nothing:
    return static_cast<ssize_t>(outcome.bytes);
  case TlsSession::Need::ended:
    return 0;
  case TlsSession::Need::failed:
    errno = ECONNRESET;
    return -1;
  default:
    errno = EAGAIN;
    return -1;
  }
}

bool ClientSocket::is_trickle() const {
  const auto spent =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - read_since_);
  return spent > kShortWait &&
         read_bytes_ < static_cast<std::size_t>(spent.count()) * kLeastBytesPerMs;
}

bool ClientSocket::fill() {
  ssize_t received = receive();
  while (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(read_until_ - Clock::now());
    if (left.count() <= 0 || (is_trickle() && others_wait_())) {
      trouble_ = Trouble::too_slow;
      return false;
    }
    poll_socket(socket_, POLLIN, std::min(left, kWaitSlice));
    received = receive();
  }
  begin_ = 0;
  end_ = received > 0 ? static_cast<std::size_t>(received) : 0;
  read_bytes_ += end_;
  return received > 0;
}

void ClientSocket::rest() {
  std::vector<char>().swap(buffer_); // gives the memory back
}

ssize_t ClientSocket::read(char* data, size_t size) {
  if (size == 0) return 0;
  if (allowed_bytes_ == 0) {
    trouble_ = Trouble::too_many_bytes;
    return -1;
  }
  if (begin_ == end_ && !fill()) return trouble_ == Trouble::none ? 0 : -1;
  const std::size_t taken = std::min({size, end_ - begin_, allowed_bytes_});
  std::memcpy(data, buffer_.data() + begin_, taken);
  begin_ += taken;
  allowed_bytes_ -= taken;
  return static_cast<ssize_t>(taken);
}

bool ClientSocket::send_secured(std::string_view data) const {
  while (!data.empty()) {
    const auto outcome = tls_->send(data);
    data.remove_prefix(outcome.bytes);
    if (outcome.need == TlsSession::Need::nothing) continue;
    const bool wants_room = outcome.need == TlsSession::Need::writable;
    if (!wants_room && outcome.need != TlsSession::Need::readable) return false;
    const short wanted = wants_room ? POLLOUT : POLLIN;
    if ((poll_socket(socket_, wanted, kWriteWait) & wanted) == 0) return false;
  }
  return true;
}

bool ClientSocket::send_all(std::string_view first, std::string_view second) const {
  if (tls_) {
    // In as few records, and so as few packets, as may be.
    const std::size_t joined = std::min(second.size(), kRecordBytes - first.size());
    return send_secured(std::string(first).append(second.substr(0, joined))) &&
           send_secured(second.substr(joined));
  }
  while (!first.empty() || !second.empty()) {
    std::array<iovec, 2> parts{iovec{const_cast<char*>(first.data()), first.size()},
                               iovec{const_cast<char*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t sent = sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      const std::size_t of_first = std::min(static_cast<std::size_t>(sent), first.size());
      first.remove_prefix(of_first);
      second.remove_prefix(static_cast<std::size_t>(sent) - of_first);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    if ((poll_socket(socket_, POLLOUT, kWriteWait) & POLLOUT) == 0) return false;
  }
  return true;
}

bool ClientSocket::flush() const {
  const std::string head = std::exchange(head_, {});
  return send_all(head, {});
}

ssize_t ClientSocket::write(const char* data, size_t size) {
  if (head_.empty() && is_head({data, size})) {
    head_.assign(data, size);
    return static_cast<ssize_t>(size);
  }
  const std::string head = std::exchange(head_, {});
  return send_all(head, {data, size}) ? static_cast<ssize_t>(size) : -1;
}

void ClientSocket::get_remote_ip_and_port(std::string& ip, int& port) const {
  if (!remote_) remote_ = address_of(socket_, &getpeername);
  ip = remote_->ip;
  port = remote_->port;
}

void ClientSocket::get_local_ip_and_port(std::string& ip, int& port) const {
  if (!local_) local_ = address_of(socket_, &getsockname);
  ip = local_->ip;
  port = local_->port;
}

} // namespace holdfast::gateway
