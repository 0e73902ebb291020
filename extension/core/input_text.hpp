#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// True for well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view bytes);

// The text without NUL characters.
std::string without_nul(std::string_view text);

// A text that a person or program wrote for a model, as it is to be counted, kept and sent: without
// NUL and byte order marks at its begin, every line ending in LF and without blanks before that,
// and no empty lines at its begin and end. Indentation stays, and so does all between lines of ```
// or ~~~, but for NUL.
std::string normalized_input(std::string_view text);

} // namespace holdfast
