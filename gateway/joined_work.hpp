// What many threads ask for at the same time, done together.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::gateway {

// Natural batching: who comes while nothing is done begins at once, alone; who comes later waits,
// and the next lane that is free takes all who wait. A further lane opens when those who wait fill
// a batch: a batch costs far more than one more in it. Each has an outcome of its own. Safe for use
// by many threads.
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
    const auto me = std::make_shared<Waiting>(&item);
    Batch mine;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (busy_ == 0) { // then nobody waits
        ++busy_;
        mine.push_back(me);
      } else {
        waiting_.push_back(me);
        if (busy_ < lanes_ && waiting_.size() >= most_) {
          ++busy_;
          mine = next_batch();
        } else {
          me->turn.wait(lock, [&] { return me->outcome || !me->batch.empty(); });
          mine.swap(me->batch);
        }
      }
    }
    if (!mine.empty()) lead(mine);
    // Taken out of what the leader still shares, so that an error is gone where it was caught.
    Outcome outcome = std::move(*me->outcome);
    if (auto* error = std::get_if<std::exception_ptr>(&outcome))
      std::rethrow_exception(std::move(*error));
    return std::get<Result>(std::move(outcome));
  }

  std::size_t waiting() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_.size();
  }

private:
  struct Waiting;
  using Batch = std::vector<std::shared_ptr<Waiting>>;
  struct Waiting {
    explicit Waiting(const Item* asked) : item(asked) {}
    const Item* item;
    std::optional<Outcome> outcome;
    Batch batch; // that this thread is to do
    std::condition_variable turn;
  };

  // The next batch begins before the members of this one are told. All are told without the lock,
  // which each needs as soon as it wakes.
  void lead(const Batch& batch) {
    std::vector<Outcome> outcomes = outcomes_of(batch);
    std::shared_ptr<Waiting> leader;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (std::size_t i = 0; i < batch.size(); ++i)
        batch[i]->outcome = std::move(outcomes[i]);
      leader = hand_over();
    }
    if (leader) leader->turn.notify_one();
    for (const auto& one : batch)
      one->turn.notify_one();
  }

  std::vector<Outcome> outcomes_of(const Batch& batch) const {
    std::vector<const Item*> items;
    for (const auto& one : batch)
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

  // The lane is free, or the first who waits is to lead the next batch.
  std::shared_ptr<Waiting> hand_over() {
    if (waiting_.empty()) {
      --busy_;
      return nullptr;
    }
    std::shared_ptr<Waiting> leader = waiting_.front();
    leader->batch = next_batch();
    return leader;
  }

  Batch next_batch() {
    const auto end =
        waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), most_));
    Batch batch(waiting_.begin(), end);
    waiting_.erase(waiting_.begin(), end);
    return batch;
  }

  Work work_;
  std::size_t lanes_;
  std::size_t most_;
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<Waiting>> waiting_;
  std::size_t busy_ = 0;
};

} // namespace holdfast::gateway
