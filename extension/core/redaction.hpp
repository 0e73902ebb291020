#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

// The text without what identifies a person or opens an account: each e-mail address, API key, card
// number, US social security number and phone number is replaced by a mark that says what it was,
// as [REDACTED:EMAIL]. Valid UTF-8 stays so, JSON text stays JSON as far as its strings are
// concerned, and redacting twice changes nothing more. Time is linear in the text, whatever it is;
// `looks`, where given, is raised by how often a byte was looked at.
std::string redacted(std::string_view text, std::uint64_t* looks = nullptr);

} // namespace holdfast
