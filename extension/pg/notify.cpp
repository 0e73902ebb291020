#include "extension/pg/notify.hpp"

#include "extension/pg/boundary.hpp"

extern "C" {
#include <commands/async.h>
}

namespace holdfast::pg {

void notify(const char* channel, const std::string& payload) {
  const char* text = payload.c_str();
  call([=] { Async_Notify(channel, text); });
}

} // namespace holdfast::pg
