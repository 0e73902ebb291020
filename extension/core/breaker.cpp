#include "extension/core/breaker.hpp"

#include <algorithm>

namespace holdfast {

const char* name_of(BreakerState state) {
  switch (state) {
  case BreakerState::open:
    return "open";
  case BreakerState::half_open:
    return "half_open";
  case BreakerState::closed:
    break;
  }
  return "closed";
}

BreakerState Breaker::state(std::int64_t now, const BreakerRules& rules) const {
  if (state_ == BreakerState::open && now - opened_at_ >= rules.open_for)
    return BreakerState::half_open;
  return state_;
}

bool Breaker::is_free(const Trial& trial, std::int64_t now, const BreakerRules& rules) {
  return trial.state == TrialState::free ||
         (trial.state == TrialState::out && now - trial.began >= rules.trial_patience);
}

int Breaker::trials_out(std::int64_t now, const BreakerRules& rules) const {
  if (state_ != BreakerState::half_open) return 0;
  return static_cast<int>(std::count_if(trials_.begin(), trials_.end(), [&](const Trial& trial) {
    return trial.state == TrialState::out && !is_free(trial, now, rules);
  }));
}

std::int64_t Breaker::retry_after(std::int64_t now, const BreakerRules& rules) const {
  if (state_ == BreakerState::closed) return 0;
  if (state_ == BreakerState::open)
    return std::max<std::int64_t>(opened_at_ + rules.open_for - now, 0);
  // All trials are out: one of them is reported soon, or at the latest when patience ends.
  std::int64_t first = rules.trial_patience;
  for (const Trial& trial : trials_) {
    if (is_free(trial, now, rules)) return 0;
    if (trial.state == TrialState::out)
      first = std::min(first, trial.began + rules.trial_patience - now);
  }
  return first;
}

Breaker::Admission Breaker::admit(std::int64_t now, const BreakerRules& rules) {
  if (state(now, rules) == BreakerState::half_open && state_ == BreakerState::open) {
    state_ = BreakerState::half_open;
    trials_ = {};
  }
  Admission admission;
  admission.state = state_;
  admission.admitted = state_ == BreakerState::closed;
  if (state_ == BreakerState::half_open) {
    for (Trial& trial : trials_) {
      if (!is_free(trial, now, rules)) continue;
      trial = {TrialState::out, now, ++trials_given_};
      admission.admitted = true;
      admission.trial = trial.token;
      return admission;
    }
  }
  if (!admission.admitted) admission.retry_after = retry_after(now, rules);
  return admission;
}

void Breaker::report(std::int64_t now, const BreakerRules& rules, bool ok, std::int64_t latency,
                     std::int64_t trial) {
  const bool slow = latency > rules.slow;
  if (trial > 0) {
    if (state_ == BreakerState::half_open) report_trial(now, ok && !slow, trial);
    return;
  }
  if (state_ != BreakerState::closed) return;
  count(now, rules, ok, slow);
  const BreakerCounts sums = counts(now, rules);
  if (sums.calls < rules.minimum_calls) return;
  const std::int64_t most = std::int64_t{sums.calls} * rules.threshold_percent;
  if (std::int64_t{sums.failures} * 100 > most || std::int64_t{sums.slow} * 100 > most) open(now);
}

void Breaker::report_trial(std::int64_t now, bool good, std::int64_t trial) {
  for (Trial& each : trials_) {
    if (each.state != TrialState::out || each.token != trial) continue;
    if (!good) return open(now);
    each.state = TrialState::good;
  }
  const bool all_good = std::all_of(trials_.begin(), trials_.end(), [](const Trial& each) {
    return each.state == TrialState::good;
  });
  if (all_good) close();
}

void Breaker::give_back(std::int64_t trial) {
  if (trial <= 0 || state_ != BreakerState::half_open) return;
  for (Trial& each : trials_)
    if (each.state == TrialState::out && each.token == trial) each.state = TrialState::free;
}

void Breaker::count(std::int64_t now, const BreakerRules& rules, bool ok, bool slow) {
  const std::int64_t number = now / std::max<std::int64_t>(rules.window / kParts, 1);
  Part& part = parts_[static_cast<std::size_t>(number % kParts)];
  if (part.number != number) part = {number, {}};
  ++part.counts.calls;
  if (!ok) ++part.counts.failures;
  if (slow) ++part.counts.slow;
}

BreakerCounts Breaker::counts(std::int64_t now, const BreakerRules& rules) const {
  const std::int64_t number = now / std::max<std::int64_t>(rules.window / kParts, 1);
  BreakerCounts sums;
  for (const Part& part : parts_) {
    if (part.number < 0 || part.number > number || number - part.number >= kParts) continue;
    sums.calls += part.counts.calls;
    sums.failures += part.counts.failures;
    sums.slow += part.counts.slow;
  }
  return sums;
}

void Breaker::open(std::int64_t now) {
  state_ = BreakerState::open;
  opened_at_ = now;
  ++times_opened_;
  parts_ = {};
}

void Breaker::close() {
  state_ = BreakerState::closed;
  parts_ = {};
}

} // namespace holdfast
