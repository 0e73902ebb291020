// A server on loopback that answers each connection with what a test wrote, for misbehaviour that
// no HTTP library offers.
#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <functional>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace holdfast::test {

// One accepted connection. Nothing blocks for longer than the receive limit.
class RawConnection {
public:
  explicit RawConnection(int socket) : socket_(socket) {
    const timeval limit{10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;
  ~RawConnection() { close(socket_); }

  // Reads a request's headers and as much of its body as its Content-Length says.
  std::string read_request() {
    std::string request;
    std::size_t wanted = std::string::npos;
    while (request.size() < wanted && read_some(request)) {
      const std::size_t end = request.find("\r\n\r\n");
      const std::size_t length = request.find("Content-Length: ");
      if (end == std::string::npos) continue;
      wanted = end + 4;
      if (length < end) wanted += std::stoul(request.substr(length + 16));
    }
    return request;
  }

  // False when the client is gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Blocks until the client closes the connection; false when it did not within the receive limit.
  bool wait_closed() {
    std::string ignored;
    while (read_some(ignored)) {
    }
    return closed_;
  }

  // The connection will end with a reset instead of a proper close.
  void reset_on_close() {
    const linger hard{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }

private:
  bool read_some(std::string& text) {
    char buffer[4096];
    const ssize_t count = recv(socket_, buffer, sizeof buffer, 0);
    closed_ = count == 0 || (count < 0 && errno == ECONNRESET);
    if (count <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(count));
    return true;
  }

  int socket_;
  bool closed_ = false;
};

// Serves connections one after the other until it is destroyed.
class RawServer {
public:
  explicit RawServer(std::function<void(RawConnection&)> handler) : handler_(std::move(handler)) {
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (socket_ < 0 || bind(socket_, generic, size) != 0 || listen(socket_, 16) != 0 ||
        getsockname(socket_, generic, &size) != 0)
      throw std::runtime_error("no loopback socket");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  ~RawServer() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }

  std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

private:
  void serve() {
    for (int client = accept(socket_, nullptr, nullptr); client >= 0;
         client = accept(socket_, nullptr, nullptr)) {
      RawConnection connection(client);
      handler_(connection);
    }
  }

  std::function<void(RawConnection&)> handler_;
  int socket_ = -1;
  int port_ = 0;
  std::thread thread_;
};

} // namespace holdfast::test
