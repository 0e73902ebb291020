// Settlements that the database did not take at once: kept, and tried again until it does.
#pragma once

#include "gateway/database.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace holdfast::gateway {

// How a granted call ends: settled with what it used, or released because it used nothing (then
// only the organization and the hold of `settlement` count).
struct Resolution {
  enum class Kind { settle, release };
  Kind kind = Kind::settle;
  Settlement settlement;
};

// What an attempt at a resolution came to: taken, to be tried again, or refused for good.
enum class ResolutionResult { done, later, refused };

// Limits of the queue, and the waits between attempts while the database is away.
struct SettlementBounds {
  std::size_t max_calls = 1024;
  std::size_t max_bytes = 67108864;
  std::chrono::milliseconds first_wait{100};
  std::chrono::milliseconds longest_wait{5000};
};

// Every admitted call has a place here from before it is opened, so that its resolution always
// finds room: when there are no places, no call is admitted. Safe for use by many threads.
class SettlementQueue {
public:
  using Attempt = std::function<ResolutionResult(const Resolution&)>;

  // A call's place; gives it back when destroyed.
  class Place {
  public:
    explicit Place(SettlementQueue& queue) : queue_(&queue) {}
    Place(Place&& other) noexcept : queue_(other.queue_) { other.queue_ = nullptr; }
    Place& operator=(Place&&) = delete;
    ~Place();

  private:
    SettlementQueue* queue_;
  };

  SettlementQueue(Attempt attempt, SettlementBounds bounds);
  ~SettlementQueue();
  SettlementQueue(const SettlementQueue&) = delete;
  SettlementQueue& operator=(const SettlementQueue&) = delete;

  // Nothing when there is no place left, or what waits holds too many bytes.
  std::optional<Place> reserve();

  // Keeps a resolution until it is taken.
  void keep(Resolution resolution, Place place);

  // The database has just answered: what waits for it is tried at once.
  void retry_now();

  // Logs a resolution that was refused for good, with its figures.
  void record_refused(const Resolution& resolution);

  // Calls that have a place, and of them those that wait for the database, with their memory.
  struct Figures {
    std::size_t calls = 0;
    std::size_t waiting = 0;
    std::size_t bytes = 0;
  };
  Figures figures() const;

  // Keeps what is left for the next gateway; false when it could not.
  using Spool = std::function<bool(const std::vector<Resolution>&)>;

  // Tries what waits until the deadline, gives what is left to the spool, logs each of these with
  // its figures, and returns how many settlements were lost to the ledger since the start: those
  // left without a spool, and those refused.
  std::size_t drain(std::chrono::steady_clock::time_point deadline, const Spool& spool = nullptr);

private:
  struct Kept {
    Resolution resolution;
    Place place;
  };

  void work();
  std::optional<Kept> take();
  void put_back(Kept kept, std::chrono::milliseconds wait);
  void finish(const Kept& kept);
  void give_back();

  Attempt attempt_;
  SettlementBounds bounds_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Kept> kept_;
  std::size_t places_taken_ = 0;
  std::size_t kept_bytes_ = 0;
  std::size_t refused_ = 0;
  std::size_t trying_ = 0; // at most one
  bool draining_ = false;
  unsigned nudges_ = 0; // of retry_now()
  std::chrono::steady_clock::time_point deadline_;
  std::thread worker_;
};

// One attempt at a resolution. `settled`, when given, receives the ledger's word.
ResolutionResult try_resolution(Database& database, const Resolution& resolution,
                                SettledCall* settled = nullptr);

} // namespace holdfast::gateway
