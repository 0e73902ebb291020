// How the windows outlive the server: as bytes, from the coldest key to the hottest.
#include "extension/core/rate_limiter.hpp"

#include <algorithm>
#include <cstring>

namespace holdfast {

namespace {

constexpr std::uint64_t kMagic = 0x31'74'69'6d'69'6c'66'68; // "hflimit1"

// Copies of plain data, one after the other.
class Writer {
public:
  explicit Writer(char* to) : start_(to), at_(to) {}
  template <class Value>
  void put(const Value& value) {
    std::memcpy(at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  std::size_t written() const { return static_cast<std::size_t>(at_ - start_); }

private:
  char* start_;
  char* at_;
};

class Reader {
public:
  Reader(const char* from, std::size_t bytes) : at_(from), left_(bytes) {}
  template <class Value>
  bool get(Value& value) {
    if (left_ < sizeof(value)) return false;
    std::memcpy(&value, at_, sizeof(value));
    at_ += sizeof(value);
    left_ -= sizeof(value);
    return true;
  }

private:
  const char* at_;
  std::size_t left_;
};

// FNV-1a, against a file that was cut or damaged.
std::uint64_t checksum(const char* bytes, std::size_t count) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < count; ++i)
    sum = (sum ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3;
  return sum;
}

} // namespace

struct RateLimiter::SavedHead {
  std::uint64_t magic = kMagic;
  std::uint64_t checksum = 0; // of what follows the head
  std::uint64_t bytes = 0;    // of the same
  std::uint64_t key_size = sizeof(Key);
  HashSecret secret{};
  std::int64_t now = 0;
  std::int64_t wall = 0;
  std::uint64_t keys = 0;
};

std::size_t RateLimiter::save(char* to, std::int64_t now, std::int64_t wall) const {
  SavedHead head;
  head.secret = secret_;
  head.now = now;
  head.wall = wall;
  head.keys = static_cast<std::uint64_t>(figures_.keys);
  Writer writer(to + sizeof(head));
  for (std::size_t i = 0; i < kCells; ++i)
    writer.put(cells()[i]);
  for (std::int32_t place = coldest_; place != kNone; place = keys()[place].hotter) {
    const Key& key = keys()[place];
    writer.put(key);
    std::int32_t block = key.first_block;
    std::int16_t entry = key.first_entry;
    for (std::int32_t i = 0; i < key.count; ++i) {
      writer.put(blocks()[block].entries[entry]);
      if (++entry == kBlockEntries) {
        block = blocks()[block].next;
        entry = 0;
      }
    }
  }
  head.bytes = writer.written();
  head.checksum = checksum(to + sizeof(head), head.bytes);
  std::memcpy(to, &head, sizeof(head));
  return sizeof(head) + head.bytes;
}

bool RateLimiter::load(const char* from, std::size_t bytes, std::int64_t now, std::int64_t wall) {
  SavedHead head;
  if (bytes < sizeof(head)) return false;
  std::memcpy(&head, from, sizeof(head));
  if (head.magic != kMagic || head.key_size != sizeof(Key) || head.bytes != bytes - sizeof(head) ||
      head.checksum != checksum(from + sizeof(head), head.bytes))
    return false;
  Reader reader(from + sizeof(head), head.bytes);
  secret_ = head.secret;
  // A moment of then is this much later on today's clock.
  const std::int64_t shift = now - head.now - std::max<std::int64_t>(wall - head.wall, 0);
  for (std::size_t i = 0; i < kCells; ++i) {
    if (!reader.get(cells()[i])) return false;
    cells()[i].until += shift;
  }
  for (std::uint64_t i = 0; i < head.keys; ++i) {
    Key saved;
    if (!reader.get(saved)) return false;
    ++decision_;
    const std::int64_t last_used = saved.last_used + shift;
    const std::int32_t place = find_or_make({saved.id, {}, false}, last_used);
    Key& key = keys()[place];
    key.window = saved.window;
    key.last_strike = saved.last_strike + shift;
    key.shut_until = saved.shut_until + shift;
    key.strikes = saved.strikes;
    key.inherited = saved.inherited;
    key.inherited.until += shift;
    for (std::int32_t j = 0; j < saved.count; ++j) {
      Entry entry;
      if (!reader.get(entry)) return false;
      const std::uint32_t age = tick_of(head.now) - entry.tick;
      entry.tick = tick_of(head.now + shift) - age;
      append(key, entry, last_used);
    }
  }
  return true;
}

} // namespace holdfast
