#include "gateway/transport_pool.hpp"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

namespace holdfast::gateway {

// With the room reserved, giving back never allocates.
TransportPool::TransportPool(std::size_t max_idle) : max_idle_(max_idle) {
  idle_.reserve(max_idle + 1);
}

Line TransportPool::take(const std::string& origin) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // The youngest first: its connection is the likeliest to be open still.
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                    [&](const Line& line) { return line.origin == origin; });
    if (found != idle_.rend()) {
      Line line = std::move(*found);
      idle_.erase(std::next(found).base());
      return line;
    }
  }
  Line line{origin, CurlMulti(curl_multi_init()), CurlEasy(curl_easy_init())};
  if (!line.multi || !line.easy) throw std::bad_alloc();
  curl_multi_setopt(line.multi.get(), CURLMOPT_MAXCONNECTS, 1L);
  return line;
}

void TransportPool::give_back(Line line) noexcept {
  Line closed;
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(line));
  if (idle_.size() <= max_idle_) return;
  closed = std::move(idle_.front());
  idle_.erase(idle_.begin());
}

} // namespace holdfast::gateway
