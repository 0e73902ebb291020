#pragma once

#include <array>
#include <cstdint>

namespace holdfast {

// When a circuit breaker opens and closes. Times are in microseconds.
struct BreakerRules {
  std::int64_t window = 60'000'000;
  std::int32_t minimum_calls = 10; // with fewer in the window nothing is judged
  std::int32_t threshold_percent = 50;
  std::int64_t slow = 5'000'000;
  std::int64_t open_for = 60'000'000;
  // A trial that is not reported in this time was lost with its caller; another may take its place.
  std::int64_t trial_patience = 120'000'000;
};

enum class BreakerState : std::uint8_t { closed, open, half_open };
const char* name_of(BreakerState state);

struct BreakerCounts {
  std::int32_t calls = 0;
  std::int32_t failures = 0;
  std::int32_t slow = 0;
};

// A circuit breaker as plain data, for memory that processes share: the caller locks it. `now` is a
// clock that never goes back.
//
// closed: calls pass and are counted in a window of ten parts. Open when more than the threshold of
// them failed, or more than the threshold were slow. open: nothing passes until `open_for` is over.
// half-open: three trials pass. All three good: closed; a bad or slow one: open again.
class Breaker {
public:
  static constexpr int kTrials = 3;

  struct Admission {
    bool admitted = false;
    BreakerState state = BreakerState::closed;
    std::int64_t trial = 0;       // above 0: the call is a trial, and its report says so
    std::int64_t retry_after = 0; // when refused: the time until a call may pass
  };
  Admission admit(std::int64_t now, const BreakerRules& rules);

  // Counts how a call ended. A call that was let through in another state than the present one
  // tells nothing about it: it is left out.
  void report(std::int64_t now, const BreakerRules& rules, bool ok, std::int64_t latency,
              std::int64_t trial);

  // A trial that never became a call: another may take its place.
  void give_back(std::int64_t trial);

  // What an admission would find now; changes nothing.
  BreakerState state(std::int64_t now, const BreakerRules& rules) const;
  std::int64_t retry_after(std::int64_t now, const BreakerRules& rules) const;
  BreakerCounts counts(std::int64_t now, const BreakerRules& rules) const;
  int trials_out(std::int64_t now, const BreakerRules& rules) const;
  std::int64_t times_opened() const { return times_opened_; }

private:
  static constexpr int kParts = 10;
  struct Part {
    std::int64_t number = -1; // of the part of time that it counts
    BreakerCounts counts;
  };
  enum class TrialState : std::uint8_t { free, out, good };
  struct Trial {
    TrialState state = TrialState::free;
    std::int64_t began = 0;
    std::int64_t token = 0;
  };

  void open(std::int64_t now);
  void close();
  void report_trial(std::int64_t now, bool good, std::int64_t trial);
  void count(std::int64_t now, const BreakerRules& rules, bool ok, bool slow);
  static bool is_free(const Trial& trial, std::int64_t now, const BreakerRules& rules);

  BreakerState state_ = BreakerState::closed;
  std::int64_t opened_at_ = 0;
  std::int64_t times_opened_ = 0;
  std::int64_t trials_given_ = 0;
  std::array<Part, kParts> parts_{};
  std::array<Trial, kTrials> trials_{};
};

} // namespace holdfast
