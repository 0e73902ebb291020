// What many threads ask for at the same time, done together.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::gateway {

// Natural batching: who comes while a lane is free begins at once, alone; who comes while all are
// busy waits, and the next lane that is free takes all who wait. Each has an outcome of its own.
// Safe for use by many threads.
template <class Item, class Result>
class JoinedWork {
public:
  using Outcome = std::variant<Result, std::exception_ptr>;
  // Does it for all of a batch, an outcome for each in the same order. What it throws all of the
  // batch get.
  using Work = std::function<std::vector<Outcome>(const std::vector<const Item*>&)>;

  // At most `lanes` batches at the same time, each of at most `most`.
  JoinedWork(Work work, std::size_t lanes, std::size_t most)
      : work_(std::move(work)), lanes_(lanes), most_(most) {}

  Result run(const Item& item) {
    Waiting me{&item};
    std::unique_lock<std::mutex> lock(mutex_);
    if (busy_ < lanes_) { // then nobody waits
      ++busy_;
      me.batch.push_back(&me);
    } else {
      waiting_.push_back(&me);
      me.turn.wait(lock, [&] { return me.outcome || !me.batch.empty(); });
    }
    if (!me.outcome) lead(std::exchange(me.batch, {}), lock);
    if (auto* error = std::get_if<std::exception_ptr>(&*me.outcome)) std::rethrow_exception(*error);
    return std::get<Result>(std::move(*me.outcome));
  }

  std::size_t waiting() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_.size();
  }

private:
  struct Waiting {
    explicit Waiting(const Item* asked) : item(asked) {}
    const Item* item;
    std::optional<Outcome> outcome;
    std::vector<Waiting*> batch; // that this thread is to do
    std::condition_variable turn;
  };

  void lead(const std::vector<Waiting*>& batch, std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    std::vector<Outcome> outcomes = outcomes_of(batch);
    lock.lock();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      batch[i]->outcome = std::move(outcomes[i]);
      batch[i]->turn.notify_one();
    }
    hand_over();
  }

  std::vector<Outcome> outcomes_of(const std::vector<Waiting*>& batch) const {
    std::vector<const Item*> items;
    for (const Waiting* one : batch)
      items.push_back(one->item);
    try {
      return work_(items);
    } catch (...) {
      std::vector<Outcome> outcomes;
      for (std::size_t i = 0; i < batch.size(); ++i)
        outcomes.emplace_back(std::current_exception());
      return outcomes;
    }
  }

  // The lane is free, or the first who waits leads the next batch.
  void hand_over() {
    if (waiting_.empty()) {
      --busy_;
      return;
    }
    const auto end =
        waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), most_));
    Waiting* leader = waiting_.front();
    leader->batch.assign(waiting_.begin(), end);
    waiting_.erase(waiting_.begin(), end);
    leader->turn.notify_one();
  }

  Work work_;
  std::size_t lanes_;
  std::size_t most_;
  mutable std::mutex mutex_;
  std::deque<Waiting*> waiting_;
  std::size_t busy_ = 0;
};

} // namespace holdfast::gateway
