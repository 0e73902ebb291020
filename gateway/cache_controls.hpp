// What a request says about answers that are kept.
#pragma once

#include "gateway/http_library.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace holdfast::gateway {

// `asked`: the request wants to be answered from the cache, and its answer kept. Without it that is
// the organization's to decide. `reads` and `stores` are what the request allows.
struct CacheWish {
  bool asked = false;
  bool reads = true;
  bool stores = true;
  std::optional<std::int64_t> max_age_s; // no older answer
  std::int64_t ttl_s = 86400;

  bool is_open() const { return reads || stores; }
};

// X-Holdfast-Cache (on, off, or for how many seconds) and Cache-Control (no-store, private,
// no-cache, max-age). Throws HttpError 400.
CacheWish read_cache_wish(const httplib::Request& request);

// The members `cache` (true, false, or for how many seconds) and `private` of a body of /api/ai.
void read_cache_members(const nlohmann::json& body, CacheWish& wish);

} // namespace holdfast::gateway
