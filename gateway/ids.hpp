// Identifiers and digests.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::gateway {

// A fresh UUID (version 7: later ones sort later), lower case with dashes. Throws
// std::runtime_error without entropy.
std::string new_uuid();

// The UUID in lower case with dashes, given with or without dashes; nothing when it is none.
std::optional<std::string> canonical_uuid(std::string_view text);

// The 32 bytes of the SHA-256 digest.
std::string sha256(std::string_view bytes);

// Two lower-case digits for each byte.
std::string to_hex(std::string_view bytes);

} // namespace holdfast::gateway
