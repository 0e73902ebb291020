// API keys, by what providers put before them, else by their shape.
#include "extension/core/redaction_scan.hpp"

namespace holdfast::redaction {

namespace {

struct Prefix {
  std::string_view text;
  std::size_t least; // bytes after it
};

// Of openai (sk-, sk-proj-), anthropic (sk-ant-), openrouter (sk-or-), gemini, groq, perplexity,
// together's newer ones, and Holdfast's own.
constexpr Prefix kPrefixes[] = {{"sk-", 20},   {"AIza", 30},    {"gsk_", 20},
                                {"pplx-", 20}, {"tgp_v1_", 20}, {"hf_", 30}};

constexpr std::string_view kKeyWords[] = {"key",      "keys",   "apikey",   "token",
                                          "secret",   "bearer", "password", "mistral",
                                          "together", "cohere", "deepinfra"};

constexpr std::size_t kTellingBytes = 64; // of a key: so many tell whether it is one

constexpr std::size_t kShorterKey = 32; // mistral, deepinfra
constexpr std::size_t kLongerKey = 40;  // cohere
constexpr std::size_t kHexKey = 64;     // together

bool begins_with(const Scan& scan, std::size_t at, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (scan.at(at + i) != text[i]) return false;
  return true;
}

// What a run of letters and digits is made of.
struct Run {
  std::size_t bytes = 0;
  int digits = 0;
  bool has_upper = false;
  bool has_lower = false;
};

bool is_key_byte(char c) {
  return is_alnum(c) || c == '-' || c == '_';
}

template <class Belongs>
Run run_at(const Scan& scan, std::size_t at, std::size_t most, Belongs belongs) {
  Run run;
  for (char c = scan.at(at); run.bytes < most && belongs(c); c = scan.at(at + run.bytes)) {
    run.digits += is_digit(c) ? 1 : 0;
    run.has_upper = run.has_upper || is_upper(c);
    run.has_lower = run.has_lower || (is_letter(c) && !is_upper(c));
    ++run.bytes;
  }
  return run;
}

} // namespace

std::size_t prefixed_key(const Scan& scan, std::size_t at) {
  const char first = scan.at(at);
  if (!is_letter(first) || !scan.begins_word(at)) return 0;
  for (const Prefix& prefix : kPrefixes) {
    if (!begins_with(scan, at, prefix.text)) continue;
    const std::size_t secret = at + prefix.text.size();
    const Run run = run_at(scan, secret, kTellingBytes, is_key_byte);
    // Names of classes and of files are of small letters alone.
    if (run.bytes < prefix.least || !(run.digits > 0 || run.has_upper)) return 0;
    std::size_t end = secret + run.bytes;
    while (is_key_byte(scan.at(end)))
      ++end;
    return end - at;
  }
  return 0;
}

std::size_t bare_key(const Scan& scan, std::size_t at) {
  if (!is_alnum(scan.at(at)) || !scan.begins_word(at)) return 0;
  const Run run = run_at(scan, at, scan.size(), is_alnum);
  if (run.bytes != kShorterKey && run.bytes != kLongerKey && run.bytes != kHexKey) return 0;
  if (run.digits < 2 || !(run.has_upper || run.has_lower)) return 0;
  // A part of something longer, as of base64.
  const auto joins = [](char c) { return c == '+' || c == '/'; };
  if (joins(scan.before(at)) || joins(scan.at(at + run.bytes))) return 0;
  const bool is_mixed = run.has_upper && run.has_lower && run.bytes != kHexKey;
  return is_mixed || scan.has_before(at, kKeyWords) ? run.bytes : 0;
}

} // namespace holdfast::redaction
