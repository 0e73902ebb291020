#pragma once

#include "extension/core/siphash.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace holdfast {

// In the order in which they are checked.
enum class LimitLayer : std::uint8_t { user, ip, api_key, workflow, provider, global };
constexpr int kLimitLayers = 6;
const char* name_of(LimitLayer layer);

// How much a key may do in any span of time as long as `window` (microseconds). Below 0: unlimited.
struct Limit {
  std::int32_t requests = -1;
  std::int64_t tokens = -1;
  std::int64_t window = 60'000'000;
};

// One of the limits that a request counts against.
struct LimitClaim {
  Hash128 key;
  Limit limit;
  bool cools = false; // who offends again and again is shut out for longer and longer
};

// Who was refused twice, with a window between, is shut out for `base`, then for twice as long each
// time, up to `most`; ten quiet windows are forgiven. Microseconds; base 0: nobody is.
struct CooldownRules {
  std::int64_t base = 60'000'000;
  std::int64_t most = 3'600'000'000;
};

enum class LimitUnit : std::uint8_t { requests, tokens, cooldown };
const char* name_of(LimitUnit unit);

struct LimitVerdict {
  bool admitted = true;
  int claim = -1; // the first that refused, else the one with the fewest requests left; -1: none
  LimitUnit unit = LimitUnit::requests;
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  std::int64_t reset = 0;       // until what is counted begins to leave the window
  std::int64_t retry_after = 0; // when refused: until the same request would fit
};

// Sliding windows of any number of keys in a bounded memory, as plain data for processes to share:
// the caller locks it. Exact to one request: each one that is in a window is kept, with its time
// (in steps of 16 us) and its tokens, in a queue of small blocks; a key takes as many blocks as it
// needs.
//
// When memory runs out, the key that was used longest ago is given up. What it still had in its
// window is noted, as a number with an end, in a cell that its hash chooses; whoever comes to that
// cell without a place of its own starts with the highest number noted there. So a key that was
// given up never has more than its limit: at worst another is refused too early.
class RateLimiter {
public:
  // The memory for so many bytes at most; places for keys and blocks are chosen to fit.
  static std::size_t bytes_for(std::size_t most_bytes);
  // Makes one in that memory, which has bytes_for(most_bytes) bytes.
  static RateLimiter* make(void* memory, std::size_t most_bytes, const HashSecret& secret);

  // Counts the request on all claims, or on none when one of them refuses. `now` never goes back.
  LimitVerdict decide(const LimitClaim* claims, int count, std::int64_t tokens, std::int64_t now,
                      const CooldownRules& cooldown);

  const HashSecret& secret() const { return secret_; }

  struct Figures {
    std::int64_t keys = 0;
    std::int64_t most_keys = 0;
    std::int64_t blocks = 0;
    std::int64_t most_blocks = 0;
    std::int64_t decisions = 0;
    std::int64_t violations = 0;
    std::int64_t given_up = 0; // keys that made room for others
  };
  Figures figures() const { return figures_; }

  // Writes all that counts into `to` (which has room for bytes_for() bytes) and returns how many
  // bytes it took. `wall` is the time of day, by which the pause until load() is measured.
  std::size_t save(char* to, std::int64_t now, std::int64_t wall) const;
  // Takes in what save() wrote; false, with nothing taken in, when it is no such thing.
  bool load(const char* from, std::size_t bytes, std::int64_t now, std::int64_t wall);

private:
  static constexpr std::int32_t kNone = -1;
  static constexpr int kBlockEntries = 31;
  static constexpr std::size_t kCells = 8192;
  static constexpr std::int64_t kForgivenWindows = 10;

  struct Entry {
    std::uint32_t tick = 0;
    std::uint32_t tokens = 0;
  };
  struct Block {
    std::int32_t next = kNone;
    Entry entries[kBlockEntries];
  };
  // What is known of requests whose entries are gone: an upper bound, until a moment.
  struct Bound {
    std::int64_t until = 0;
    std::int64_t tokens = 0;
    std::int64_t requests = 0;
  };
  struct Key {
    Hash128 id;
    std::int64_t last_used = 0;
    std::int64_t window = 0;
    std::int64_t tokens = 0;
    std::int64_t last_strike = 0;
    std::int64_t shut_until = 0;
    std::int64_t decision = 0; // the last one that it took part in
    Bound inherited;
    std::int32_t count = 0;
    std::int32_t strikes = 0;
    std::int32_t next = kNone; // in its bucket, or among the free
    std::int32_t colder = kNone;
    std::int32_t hotter = kNone;
    std::int32_t first_block = kNone;
    std::int32_t last_block = kNone;
    std::int16_t first_entry = 0;
    std::int16_t end_entry = 0;
  };
  struct Sizes {
    std::size_t keys;
    std::size_t buckets;
    std::size_t blocks;
    std::size_t bytes;
  };
  struct SavedHead;
  struct Used {
    std::int64_t requests = 0;
    std::int64_t tokens = 0;
  };

  RateLimiter() = default;
  static Sizes sizes_for(std::size_t most_bytes);
  static std::uint32_t tick_of(std::int64_t now);
  static std::uint32_t ticks_in(std::int64_t window);

  Key* keys();
  std::int32_t* buckets();
  Block* blocks();
  Bound* cells();
  const Key* keys() const;
  const Block* blocks() const;
  const Bound* cells() const;

  std::int32_t& bucket_of(const Hash128& id);
  Bound& cell_of(const Hash128& id);
  std::int32_t find(const Hash128& id);
  std::int32_t find_or_make(const LimitClaim& claim, std::int64_t now);
  void touch(std::int32_t place, std::int64_t now);
  void unlink(Key& key);
  void link_hottest(std::int32_t place);
  bool give_up_coldest(std::int64_t now);
  void note(const Key& key, std::int64_t now);

  std::int32_t take_block(std::int64_t now);
  void pop(Key& key);
  void clear(Key& key);
  void expire(Key& key, std::int64_t window, std::int64_t now);
  void push(Key& key, std::int64_t tokens, std::int64_t window, std::int64_t now);
  void append(Key& key, Entry entry, std::int64_t now);

  Used used(const LimitClaim& claim, std::int64_t now);
  bool check(const LimitClaim& claim, std::int64_t tokens, std::int64_t now, LimitVerdict& verdict);
  std::int64_t until_fits(const LimitClaim& claim, std::int64_t tokens, LimitUnit unit,
                          std::int64_t now);
  std::int64_t reset_of(const LimitClaim& claim, std::int64_t now);
  std::int64_t strike(const LimitClaim& claim, std::int64_t now, const CooldownRules& cooldown);

  HashSecret secret_{};
  std::size_t most_keys_ = 0;
  std::size_t bucket_count_ = 0;
  std::size_t most_blocks_ = 0;
  std::int64_t decision_ = 0;
  std::int32_t free_key_ = kNone;
  std::int32_t free_block_ = kNone;
  std::int32_t coldest_ = kNone;
  std::int32_t hottest_ = kNone;
  Figures figures_;
};

} // namespace holdfast
