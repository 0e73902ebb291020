// SIGTERM and SIGINT as something to wait for.
#pragma once

namespace holdfast::gateway {

// Made first thing in main(), before any thread: it blocks both signals for all threads to come, so
// that they are taken here and nowhere else.
class StopSignal {
public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Blocks until a signal comes, or wake() is called.
  void wait() const;

  // Ends wait() from another thread.
  void wake() const;

private:
  int signals_ = -1;
  int wakeups_ = -1;
};

} // namespace holdfast::gateway
