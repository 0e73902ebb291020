// JSON from the network.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// Deeper nesting than this is refused before it is parsed: writing, copying and comparing recurse.
inline constexpr int kMaxJsonDepth = 64;

// The document, or nothing when it is malformed, not UTF-8, or nested too deeply. Never throws but
// for memory.
std::optional<nlohmann::json> parse_bounded_json(std::string_view text,
                                                 int max_depth = kMaxJsonDepth);

// Compact JSON text. Bytes that are not UTF-8 become U+FFFD instead of an exception.
std::string dump_json(const nlohmann::json& document);

} // namespace holdfast
