#include "gateway/shutdown.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::gateway {

StopSignal::StopSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  wakeups_ = eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || wakeups_ < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot wait for signals");
  }
}

StopSignal::~StopSignal() {
  close(signals_);
  close(wakeups_);
}

void StopSignal::wait() const {
  std::array<pollfd, 2> entries{{{signals_, POLLIN, 0}, {wakeups_, POLLIN, 0}}};
  while (poll(entries.data(), entries.size(), -1) < 0 && errno == EINTR) {
  }
}

void StopSignal::wake() const {
  eventfd_write(wakeups_, 1);
}

} // namespace holdfast::gateway
