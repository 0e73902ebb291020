#include "extension/core/redaction.hpp"

#include "extension/core/redaction_scan.hpp"

namespace holdfast {

namespace redaction {

namespace {

constexpr std::size_t kContextBytes = 48;
constexpr std::size_t kUnicodeEscapeBytes = 6; // backslash, u, four digits

char lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_hex(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}

} // namespace

bool Scan::is_escape(std::size_t i) const {
  return before(i) == '\\' && std::string_view("nrtbfu").find(at(i)) != std::string_view::npos;
}

bool Scan::ends_escape(std::size_t i) const {
  if (i >= 2 && is_escape(i - 1)) return at(i - 1) != 'u';
  if (i < kUnicodeEscapeBytes || at(i - kUnicodeEscapeBytes) != '\\' || at(i - 5) != 'u')
    return false;
  return is_hex(at(i - 4)) && is_hex(at(i - 3)) && is_hex(at(i - 2)) && is_hex(at(i - 1));
}

std::size_t Scan::separator(std::size_t i, bool or_dot) const {
  const char c = at(i);
  if (c == ' ' || c == '-' || (or_dot && c == '.')) return 1;
  if (c == '\xc2' && at(i + 1) == '\xa0') return 2; // no-break space
  if (c != '\xe2' || at(i + 1) != '\x80') return 0;
  const char last = at(i + 2); // hyphen, non-breaking hyphen, figure dash, en dash
  return last >= '\x90' && last <= '\x93' ? 3 : 0;
}

std::size_t Scan::context_begin(std::size_t i) const {
  std::size_t from = i;
  while (from > begin_ && i - from < kContextBytes) {
    const char c = at(from - 1);
    if (is_digit(c) || c == '[' || c == ']' || c == '\n') break;
    --from;
  }
  return from;
}

// Between a letter and something else, or within camelCase.
bool Scan::word_edge(std::size_t i) const {
  const char left = before(i);
  const char right = at(i);
  return !is_letter(left) || !is_letter(right) || (!is_upper(left) && is_upper(right));
}

bool Scan::has_word(std::size_t from, std::size_t to, std::string_view word) const {
  for (std::size_t i = from; i + word.size() <= to; ++i) {
    std::size_t same = 0;
    while (same < word.size() && lower(at(i + same)) == word[same])
      ++same;
    if (same == word.size() && word_edge(i) && word_edge(i + same)) return true;
  }
  return false;
}

namespace {

// A letter outside ASCII of the Latin, Greek or Cyrillic script, which has two bytes. Scripts that
// put no blank between words would make an address of all that stands before it.
bool is_two_byte_lead(char c) {
  return c >= '\xc3' && c <= '\xd4';
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::size_t local_begin(const Scan& scan, std::size_t from, std::size_t sign) {
  std::size_t begin = sign;
  while (begin > from) {
    const char c = scan.at(begin - 1);
    if (is_alnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-')
      --begin;
    else if (begin >= from + 2 && is_continuation(c) && is_two_byte_lead(scan.at(begin - 2)))
      begin -= 2;
    else
      break;
  }
  if (begin == sign || !scan.is_escape(begin)) return begin;
  if (begin + kUnicodeEscapeBytes <= sign && scan.ends_escape(begin + kUnicodeEscapeBytes - 1))
    return begin + kUnicodeEscapeBytes - 1;
  return scan.at(begin) == 'u' ? begin : begin + 1;
}

// The bytes of a letter, digit or hyphen of a domain's label; 0 when it is something else.
std::size_t label_bytes(const Scan& scan, std::size_t i) {
  const char c = scan.at(i);
  if (is_alnum(c) || c == '-') return 1;
  return is_two_byte_lead(c) && is_continuation(scan.at(i + 1)) ? 2 : 0;
}

// Where the top-level domain that begins here ends: letters, at least two, and no digit after them.
std::size_t top_level_end(const Scan& scan, std::size_t begin) {
  std::size_t end = begin;
  while (scan.at(end) != '-' && label_bytes(scan, end) > 0 && !is_digit(scan.at(end)))
    end += label_bytes(scan, end);
  return end - begin >= 2 && !is_digit(scan.at(end)) ? end : begin;
}

// The end of the longest domain, `begin` when there is none.
std::size_t domain_end(const Scan& scan, std::size_t begin) {
  std::size_t best = begin;
  std::size_t i = begin;
  while (true) {
    const std::size_t label = i;
    if (label > begin) {
      const std::size_t end = top_level_end(scan, label);
      if (end > label) best = end;
    }
    while (const std::size_t bytes = label_bytes(scan, i))
      i += bytes;
    if (i == label || scan.at(i) != '.') return best;
    ++i;
  }
}

std::string without_emails(std::string_view text, std::uint64_t& looks) {
  const Scan scan(text);
  std::string result;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (scan.at(i) != '@') continue;
    const std::size_t begin = local_begin(scan, copied, i);
    const std::size_t end = domain_end(scan, i + 1);
    if (begin >= i || end == i + 1) continue;
    result += scan.part(copied, begin);
    result += "[REDACTED:EMAIL]";
    copied = end;
    i = end - 1;
  }
  looks += scan.looks();
  return result += scan.part(copied, text.size());
}

std::string without(Match match, const char* mark, std::string_view text, std::uint64_t& looks) {
  Scan scan(text);
  std::string result;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = match(scan, i);
    if (bytes == 0) {
      ++i;
      continue;
    }
    result += scan.part(copied, i);
    result += mark;
    copied = i += bytes;
    scan.begin_at(i);
  }
  looks += scan.looks();
  return result += scan.part(copied, text.size());
}

} // namespace

} // namespace redaction

// In this order, for no mark makes a context or an edge for what was looked for before it.
std::string redacted(std::string_view text, std::uint64_t* looks) {
  using namespace redaction;
  std::uint64_t count = 0;
  std::string result = without_emails(text, count);
  result = without(prefixed_key, "[REDACTED:CREDENTIAL]", result, count);
  result = without(bare_key, "[REDACTED:CREDENTIAL]", result, count);
  result = without(card_number, "[REDACTED:CARD]", result, count);
  result = without(social_security_number, "[REDACTED:SSN]", result, count);
  result = without(phone_number, "[REDACTED:PHONE]", result, count);
  if (looks != nullptr) *looks += count;
  return result;
}

} // namespace holdfast
