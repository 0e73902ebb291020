// Connections on which no request is at work.
#pragma once

#include "gateway/client_socket.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace holdfast::gateway {

// Watches idle connections with one thread for all, until their client sends something or their
// time is over. When there are too many, those whose time is over first are closed. Safe for use by
// many threads.
class IdleConnections {
public:
  using Clock = ClientSocket::Clock;
  // Takes a connection on which something has come. Runs on the watching thread.
  using Ready = std::function<void(std::shared_ptr<ClientSocket>)>;

  // Throws std::system_error when the kernel has no room.
  IdleConnections(Ready ready, std::size_t most);
  ~IdleConnections();
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  // Keeps it until something comes, and closes it when nothing has come by then.
  void park(std::shared_ptr<ClientSocket> client, Clock::time_point until);

  // Closes all of them, and from then on each that is parked.
  void end();

private:
  using Parked = std::multimap<Clock::time_point, std::shared_ptr<ClientSocket>>;

  void watch();
  void hand_over(int descriptor);
  int close_overdue();
  void wake() const;

  Ready ready_;
  std::size_t most_;
  int epoll_;
  int wakeup_;
  std::mutex mutex_;
  Parked parked_; // by the time at which they are closed
  std::map<int, Parked::iterator> by_descriptor_;
  bool ending_ = false;
  std::thread watcher_;
};

} // namespace holdfast::gateway
