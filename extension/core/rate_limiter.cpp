#include "extension/core/rate_limiter.hpp"

#include <algorithm>
#include <memory>
#include <new>

namespace holdfast {

namespace {

constexpr int kTickShift = 4; // 16 us
constexpr std::int64_t kHorizon = std::int64_t{1}
                                  << 35; // half of what ticks can tell apart: 9 hours
constexpr std::size_t kBlocksPerKey = 2;

} // namespace

const char* name_of(LimitLayer layer) {
  static constexpr const char* kNames[kLimitLayers] = {"user",     "ip",       "api_key",
                                                       "workflow", "provider", "global"};
  return kNames[static_cast<std::size_t>(layer)];
}

const char* name_of(LimitUnit unit) {
  switch (unit) {
  case LimitUnit::tokens:
    return "tokens";
  case LimitUnit::cooldown:
    return "cooldown";
  case LimitUnit::requests:
    break;
  }
  return "requests";
}

// --- the memory
// -----------------------------------------------------------------------------------

RateLimiter::Sizes RateLimiter::sizes_for(std::size_t most_bytes) {
  constexpr std::size_t kPerKey =
      sizeof(Key) + sizeof(std::int32_t) + kBlocksPerKey * sizeof(Block);
  constexpr std::size_t kFixed = sizeof(RateLimiter) + kCells * sizeof(Bound) + alignof(Key);
  const std::size_t room = std::max(most_bytes, kFixed + 64 * kPerKey) - kFixed;
  Sizes sizes{};
  sizes.keys = room / kPerKey;
  sizes.buckets = sizes.keys;
  sizes.blocks = sizes.keys * kBlocksPerKey;
  sizes.bytes = kFixed + sizes.keys * kPerKey;
  return sizes;
}

std::size_t RateLimiter::bytes_for(std::size_t most_bytes) {
  return sizes_for(most_bytes).bytes;
}

RateLimiter* RateLimiter::make(void* memory, std::size_t most_bytes, const HashSecret& secret) {
  const Sizes sizes = sizes_for(most_bytes);
  new (memory) RateLimiter();
  auto* limiter = std::launder(static_cast<RateLimiter*>(memory));
  limiter->secret_ = secret;
  limiter->most_keys_ = sizes.keys;
  limiter->bucket_count_ = sizes.buckets;
  limiter->most_blocks_ = sizes.blocks;
  limiter->figures_.most_keys = static_cast<std::int64_t>(sizes.keys);
  limiter->figures_.most_blocks = static_cast<std::int64_t>(sizes.blocks);
  std::uninitialized_fill_n(limiter->cells(), kCells, Bound());
  std::uninitialized_fill_n(limiter->keys(), sizes.keys, Key());
  std::uninitialized_fill_n(limiter->blocks(), sizes.blocks, Block());
  std::uninitialized_fill_n(limiter->buckets(), sizes.buckets, kNone);
  for (std::size_t i = sizes.keys; i-- > 0;) {
    limiter->keys()[i].next = limiter->free_key_;
    limiter->free_key_ = static_cast<std::int32_t>(i);
  }
  for (std::size_t i = sizes.blocks; i-- > 0;) {
    limiter->blocks()[i].next = limiter->free_block_;
    limiter->free_block_ = static_cast<std::int32_t>(i);
  }
  return limiter;
}

// Behind the object lie the cells, the keys, the blocks and the buckets, by falling alignment.
const RateLimiter::Bound* RateLimiter::cells() const {
  return reinterpret_cast<const Bound*>(this + 1);
}
const RateLimiter::Key* RateLimiter::keys() const {
  return reinterpret_cast<const Key*>(cells() + kCells);
}
const RateLimiter::Block* RateLimiter::blocks() const {
  return reinterpret_cast<const Block*>(keys() + most_keys_);
}
RateLimiter::Bound* RateLimiter::cells() {
  return reinterpret_cast<Bound*>(this + 1);
}
RateLimiter::Key* RateLimiter::keys() {
  return reinterpret_cast<Key*>(cells() + kCells);
}
RateLimiter::Block* RateLimiter::blocks() {
  return reinterpret_cast<Block*>(keys() + most_keys_);
}
std::int32_t* RateLimiter::buckets() {
  return reinterpret_cast<std::int32_t*>(blocks() + most_blocks_);
}

// --- keys
// -----------------------------------------------------------------------------------------

std::int32_t& RateLimiter::bucket_of(const Hash128& id) {
  return buckets()[id.first % bucket_count_];
}

RateLimiter::Bound& RateLimiter::cell_of(const Hash128& id) {
  return cells()[id.second % kCells];
}

std::int32_t RateLimiter::find(const Hash128& id) {
  std::int32_t place = bucket_of(id);
  while (place != kNone && !(keys()[place].id == id))
    place = keys()[place].next;
  return place;
}

void RateLimiter::unlink(Key& key) {
  (key.colder == kNone ? coldest_ : keys()[key.colder].hotter) = key.hotter;
  (key.hotter == kNone ? hottest_ : keys()[key.hotter].colder) = key.colder;
}

void RateLimiter::link_hottest(std::int32_t place) {
  Key& key = keys()[place];
  key.colder = hottest_;
  key.hotter = kNone;
  (hottest_ == kNone ? coldest_ : keys()[hottest_].hotter) = place;
  hottest_ = place;
}

void RateLimiter::touch(std::int32_t place, std::int64_t now) {
  Key& key = keys()[place];
  unlink(key);
  link_hottest(place);
  key.last_used = now;
  key.decision = decision_;
}

std::int32_t RateLimiter::find_or_make(const LimitClaim& claim, std::int64_t now) {
  std::int32_t place = find(claim.key);
  if (place == kNone) {
    if (free_key_ == kNone && !give_up_coldest(now)) return kNone;
    place = free_key_;
    Key& key = keys()[place];
    free_key_ = key.next;
    key = Key();
    key.id = claim.key;
    std::int32_t& bucket = bucket_of(claim.key);
    key.next = bucket;
    bucket = place;
    const Bound& cell = cell_of(claim.key);
    if (cell.until > now) key.inherited = cell;
    link_hottest(place);
    ++figures_.keys;
  }
  touch(place, now);
  return place;
}

// Notes what the key still has in its window, for when it comes back.
void RateLimiter::note(const Key& key, std::int64_t now) {
  Bound bound{key.last_used + key.window, key.tokens, key.count};
  if (key.inherited.until > now) {
    bound.until = std::max(bound.until, key.inherited.until);
    bound.tokens += key.inherited.tokens;
    bound.requests += key.inherited.requests;
  }
  if (bound.until <= now || bound.requests == 0) return;
  Bound& cell = cell_of(key.id);
  if (cell.until <= now) cell = Bound();
  cell.until = std::max(cell.until, bound.until);
  cell.tokens = std::max(cell.tokens, bound.tokens);
  cell.requests = std::max(cell.requests, bound.requests);
}

// False when all there are take part in the present decision.
bool RateLimiter::give_up_coldest(std::int64_t now) {
  const std::int32_t place = coldest_;
  if (place == kNone || keys()[place].decision == decision_) return false;
  Key& key = keys()[place];
  expire(key, key.window, now);
  note(key, now);
  clear(key);
  unlink(key);
  std::int32_t* link = &bucket_of(key.id);
  while (*link != place)
    link = &keys()[*link].next;
  *link = key.next;
  key.next = free_key_;
  free_key_ = place;
  --figures_.keys;
  ++figures_.given_up;
  return true;
}

// --- a key's queue
// --------------------------------------------------------------------------------

std::uint32_t RateLimiter::tick_of(std::int64_t now) {
  return static_cast<std::uint32_t>(now >> kTickShift);
}

std::uint32_t RateLimiter::ticks_in(std::int64_t window) {
  return static_cast<std::uint32_t>(std::min(window, kHorizon) >> kTickShift);
}

std::int32_t RateLimiter::take_block(std::int64_t now) {
  while (free_block_ == kNone)
    if (!give_up_coldest(now)) return kNone;
  const std::int32_t block = free_block_;
  free_block_ = blocks()[block].next;
  blocks()[block].next = kNone;
  ++figures_.blocks;
  return block;
}

void RateLimiter::pop(Key& key) {
  const std::int32_t first = key.first_block;
  key.tokens -= blocks()[first].entries[key.first_entry].tokens;
  --key.count;
  ++key.first_entry;
  const bool is_empty = key.count == 0;
  if (!is_empty && key.first_entry < kBlockEntries) return;
  key.first_block = blocks()[first].next;
  key.first_entry = 0;
  if (is_empty) {
    key.first_block = kNone;
    key.last_block = kNone;
    key.end_entry = 0;
  }
  blocks()[first].next = free_block_;
  free_block_ = first;
  --figures_.blocks;
}

void RateLimiter::clear(Key& key) {
  while (key.count > 0)
    pop(key);
}

void RateLimiter::expire(Key& key, std::int64_t window, std::int64_t now) {
  if (key.inherited.until <= now) key.inherited = Bound();
  if (now - key.last_used > kHorizon) return clear(key);
  const std::uint32_t most = ticks_in(window);
  while (key.count > 0 &&
         tick_of(now) - blocks()[key.first_block].entries[key.first_entry].tick > most)
    pop(key);
}

void RateLimiter::append(Key& key, Entry entry, std::int64_t now) {
  if (key.last_block == kNone || key.end_entry == kBlockEntries) {
    const std::int32_t block = take_block(now);
    if (block == kNone) { // all memory is in the present decision: counted without its time
      key.inherited.until = std::max(key.inherited.until, now + key.window);
      key.inherited.tokens += entry.tokens;
      ++key.inherited.requests;
      return;
    }
    if (key.last_block == kNone) {
      key.first_block = block;
      key.first_entry = 0;
    } else {
      blocks()[key.last_block].next = block;
    }
    key.last_block = block;
    key.end_entry = 0;
  }
  blocks()[key.last_block].entries[key.end_entry++] = entry;
  key.tokens += entry.tokens;
  ++key.count;
}

void RateLimiter::push(Key& key, std::int64_t tokens, std::int64_t window, std::int64_t now) {
  key.window = std::max(key.window, window);
  const auto most = static_cast<std::int64_t>(UINT32_MAX);
  append(key, {tick_of(now), static_cast<std::uint32_t>(std::clamp<std::int64_t>(tokens, 0, most))},
         now);
}

// --- decisions
// ------------------------------------------------------------------------------------

RateLimiter::Used RateLimiter::used(const LimitClaim& claim, std::int64_t now) {
  const std::int32_t place = find(claim.key);
  if (place == kNone) {
    const Bound& cell = cell_of(claim.key);
    if (cell.until <= now) return {};
    return {cell.requests, cell.tokens};
  }
  Key& key = keys()[place];
  expire(key, claim.limit.window, now);
  key.last_used = now;
  return {key.count + key.inherited.requests, key.tokens + key.inherited.tokens};
}

// How long until enough has left the window.
std::int64_t RateLimiter::until_fits(const LimitClaim& claim, std::int64_t tokens, LimitUnit unit,
                                     std::int64_t now) {
  const Limit& limit = claim.limit;
  const std::int32_t place = find(claim.key);
  if (place == kNone) return cell_of(claim.key).until - now;
  const Key& key = keys()[place];
  std::int64_t over = unit == LimitUnit::tokens
                          ? key.tokens + key.inherited.tokens + tokens - limit.tokens
                          : key.count + key.inherited.requests + 1 - limit.requests;
  std::int32_t block = key.first_block;
  std::int16_t entry = key.first_entry;
  for (std::int32_t i = 0; i < key.count; ++i) {
    const Entry& oldest = blocks()[block].entries[entry];
    over -= unit == LimitUnit::tokens ? oldest.tokens : 1;
    if (over <= 0) {
      const std::uint32_t age = tick_of(now) - oldest.tick;
      const std::uint32_t all = ticks_in(limit.window) + 1;
      return age >= all ? 1 : std::int64_t{all - age} << kTickShift;
    }
    if (++entry == kBlockEntries) {
      block = blocks()[block].next;
      entry = 0;
    }
  }
  return key.inherited.until > now ? key.inherited.until - now : limit.window;
}

std::int64_t RateLimiter::reset_of(const LimitClaim& claim, std::int64_t now) {
  const std::int32_t place = find(claim.key);
  if (place == kNone || keys()[place].count == 0) return claim.limit.window;
  const Key& key = keys()[place];
  const std::uint32_t age = tick_of(now) - blocks()[key.first_block].entries[key.first_entry].tick;
  const std::uint32_t all = ticks_in(claim.limit.window) + 1;
  return age >= all ? 0 : std::int64_t{all - age} << kTickShift;
}

// Whether the claim has room; the verdict says what it has left after the request, or why not.
bool RateLimiter::check(const LimitClaim& claim, std::int64_t tokens, std::int64_t now,
                        LimitVerdict& verdict) {
  const Limit& limit = claim.limit;
  const Used before = used(claim, now);
  verdict.limit = limit.requests;
  verdict.remaining = std::max<std::int64_t>(limit.requests - before.requests - 1, 0);
  const std::int32_t place = find(claim.key);
  if (place != kNone && keys()[place].shut_until > now) {
    verdict.unit = LimitUnit::cooldown;
    verdict.retry_after = keys()[place].shut_until - now;
    verdict.remaining = 0;
    return false;
  }
  if (limit.requests >= 0 && before.requests + 1 > limit.requests) {
    verdict.unit = LimitUnit::requests;
    verdict.retry_after = until_fits(claim, tokens, LimitUnit::requests, now);
    return false;
  }
  if (limit.tokens >= 0 && before.tokens + tokens > limit.tokens) {
    verdict.unit = LimitUnit::tokens;
    verdict.limit = limit.tokens;
    verdict.remaining = std::max<std::int64_t>(limit.tokens - before.tokens, 0);
    verdict.retry_after = until_fits(claim, tokens, LimitUnit::tokens, now);
    return false;
  }
  return true;
}

// Notes a violation; how long the offender is shut out for it.
std::int64_t RateLimiter::strike(const LimitClaim& claim, std::int64_t now,
                                 const CooldownRules& cooldown) {
  if (!claim.cools || cooldown.base <= 0) return 0;
  const std::int32_t place = find_or_make(claim, now);
  if (place == kNone) return 0;
  Key& key = keys()[place];
  const std::int64_t window = claim.limit.window;
  key.window = std::max(key.window, window);
  if (key.strikes > 0 && now - key.last_strike < window) return 0; // the same offence goes on
  const std::int64_t quiet = now - std::max(key.last_strike, key.shut_until);
  if (quiet > kForgivenWindows * window) key.strikes = 0;
  ++key.strikes;
  key.last_strike = now;
  if (key.strikes < 2) return 0;
  const int doublings = std::min(key.strikes - 2, 30);
  const std::int64_t shut =
      std::min(cooldown.base << doublings, std::max(cooldown.most, cooldown.base));
  key.shut_until = now + shut;
  return shut;
}

LimitVerdict RateLimiter::decide(const LimitClaim* claims, int count, std::int64_t tokens,
                                 std::int64_t now, const CooldownRules& cooldown) {
  ++decision_;
  ++figures_.decisions;
  LimitVerdict tightest;
  for (int i = 0; i < count; ++i) {
    LimitVerdict verdict;
    verdict.claim = i;
    if (!check(claims[i], tokens, now, verdict)) {
      ++figures_.violations;
      verdict.admitted = false;
      if (verdict.unit != LimitUnit::cooldown) {
        const std::int64_t shut = strike(claims[i], now, cooldown);
        verdict.retry_after = std::max(verdict.retry_after, shut);
      }
      verdict.reset = verdict.retry_after;
      const std::int32_t place = find(claims[i].key);
      if (place != kNone) touch(place, now); // who knocks is not forgotten
      return verdict;
    }
    const bool limits = claims[i].limit.requests >= 0;
    if (limits && (tightest.claim < 0 || verdict.remaining < tightest.remaining))
      tightest = verdict;
  }
  for (int i = 0; i < count; ++i) {
    const std::int32_t place = find_or_make(claims[i], now);
    if (place != kNone) push(keys()[place], tokens, claims[i].limit.window, now);
  }
  if (tightest.claim >= 0) tightest.reset = reset_of(claims[tightest.claim], now);
  return tightest;
}

} // namespace holdfast
