#include "gateway/idle_connections.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

constexpr int kMostEvents = 256;
constexpr int kLongestWaitMs = 1000;

int needed(int descriptor) {
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "cannot watch");
  return descriptor;
}

bool add(int epoll, int descriptor, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = descriptor;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

} // namespace

IdleConnections::IdleConnections(Ready ready, std::size_t most)
    : ready_(std::move(ready)), most_(most), epoll_(needed(epoll_create1(EPOLL_CLOEXEC))),
      wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wakeup_ < 0 || !add(epoll_, wakeup_, EPOLLIN)) {
    const std::error_code error(errno, std::generic_category());
    if (wakeup_ >= 0) close(wakeup_);
    close(epoll_);
    throw std::system_error(error, "cannot watch");
  }
  watcher_ = std::thread([this] { watch(); });
}

IdleConnections::~IdleConnections() {
  IdleConnections::end();
  close(wakeup_);
  close(epoll_);
}

void IdleConnections::wake() const {
  const std::uint64_t one = 1;
  // The counter can only be full, and then the thread wakes up all the same.
  static_cast<void>(write(wakeup_, &one, sizeof(one)));
}

void IdleConnections::park(std::shared_ptr<ClientSocket> client, Clock::time_point until) {
  std::shared_ptr<ClientSocket> closed; // outside of the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ending_) return;
  const int descriptor = client->descriptor();
  client->rest();
  if (parked_.size() >= most_) {
    closed = std::move(parked_.begin()->second);
    by_descriptor_.erase(closed->descriptor());
    parked_.erase(parked_.begin());
  }
  by_descriptor_[descriptor] = parked_.emplace(until, std::move(client));
  if (add(epoll_, descriptor, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)) return;
  closed = std::move(by_descriptor_[descriptor]->second);
  parked_.erase(by_descriptor_[descriptor]);
  by_descriptor_.erase(descriptor);
}

void IdleConnections::hand_over(int descriptor) {
  std::shared_ptr<ClientSocket> client;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_descriptor_.find(descriptor);
    if (found == by_descriptor_.end()) return; // it was closed meanwhile
    client = std::move(found->second->second);
    parked_.erase(found->second);
    by_descriptor_.erase(found);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  }
  ready_(std::move(client));
}

// Returns how long to wait for the next, in milliseconds.
int IdleConnections::close_overdue() {
  std::vector<std::shared_ptr<ClientSocket>> overdue;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto now = Clock::now();
  while (!parked_.empty() && parked_.begin()->first <= now) {
    by_descriptor_.erase(parked_.begin()->second->descriptor());
    overdue.push_back(std::move(parked_.begin()->second));
    parked_.erase(parked_.begin());
  }
  if (parked_.empty()) return kLongestWaitMs;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(parked_.begin()->first - now);
  return static_cast<int>(std::min<long long>(left.count(), kLongestWaitMs));
}

void IdleConnections::watch() {
  std::array<epoll_event, kMostEvents> events{};
  for (;;) {
    const int found = epoll_wait(epoll_, events.data(), kMostEvents, close_overdue());
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (ending_) return;
    }
    for (int i = 0; i < found; ++i) {
      const int descriptor = events.at(static_cast<std::size_t>(i)).data.fd;
      if (descriptor != wakeup_) hand_over(descriptor);
    }
  }
}

void IdleConnections::end() {
  Parked closed;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
    closed.swap(parked_);
    by_descriptor_.clear();
  }
  wake();
  if (watcher_.joinable()) watcher_.join();
}

} // namespace holdfast::gateway
