// SIGTERM, SIGINT and SIGHUP as something to wait for.
#pragma once

namespace holdfast::gateway {

// Made first thing in main(), before any thread: it blocks the signals for all threads to come, so
// that they are taken here and nowhere else.
class ProcessSignals {
public:
  enum class Wish { stop, reload };

  ProcessSignals();
  ~ProcessSignals();
  ProcessSignals(const ProcessSignals&) = delete;
  ProcessSignals& operator=(const ProcessSignals&) = delete;

  // Blocks until a signal comes, or wake_to_stop() is called. SIGHUP asks for a reload, the others
  // for a stop.
  Wish wait() const;

  // Ends wait() from another thread.
  void wake_to_stop() const;

private:
  int signals_ = -1;
  int wakeups_ = -1;
};

} // namespace holdfast::gateway
