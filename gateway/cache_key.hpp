// What makes two requests the same for the cache.
#pragma once

#include "gateway/governed_call.hpp"

#include <string>
#include <string_view>

namespace holdfast::gateway {

// 32 bytes over the organization, the dialect of the answer, and all of the order that the answer
// depends on. Whether it is streamed is no part of it, nor who asks.
std::string cache_key(const CallOrder& order, std::string_view dialect);

} // namespace holdfast::gateway
