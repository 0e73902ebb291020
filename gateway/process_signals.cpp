#include "gateway/process_signals.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::gateway {

ProcessSignals::ProcessSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  wakeups_ = eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || wakeups_ < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot wait for signals");
  }
}

ProcessSignals::~ProcessSignals() {
  close(signals_);
  close(wakeups_);
}

ProcessSignals::Wish ProcessSignals::wait() const {
  std::array<pollfd, 2> entries{{{signals_, POLLIN, 0}, {wakeups_, POLLIN, 0}}};
  while (poll(entries.data(), entries.size(), -1) < 0 && errno == EINTR) {
  }
  if ((entries[1].revents & POLLIN) != 0) return Wish::stop;
  signalfd_siginfo signal{};
  const bool known = read(signals_, &signal, sizeof signal) == sizeof signal;
  return known && signal.ssi_signo == SIGHUP ? Wish::reload : Wish::stop;
}

void ProcessSignals::wake_to_stop() const {
  eventfd_write(wakeups_, 1);
}

} // namespace holdfast::gateway
