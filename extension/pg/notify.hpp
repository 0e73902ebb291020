#pragma once

#include <string>

namespace holdfast::pg {

// Tells those who listen, at the transaction's end. The payload has to be below 8000 bytes.
void notify(const char* channel, const std::string& payload);

} // namespace holdfast::pg
