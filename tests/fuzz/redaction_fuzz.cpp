// What is taken out of texts before they are kept.
#include "extension/core/input_text.hpp"
#include "extension/core/redaction.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  using fuzz::require;
  constexpr std::uint64_t kMostLooks = 120; // at each byte
  constexpr std::uint64_t kMostAtOnce = 1000;
  const std::string_view text = fuzz::text_of(data, size);
  std::uint64_t looks = 0;
  const std::string once = redacted(text, &looks);
  require(looks <= kMostLooks * size + kMostAtOnce, "redaction looks at a text in linear time");
  require(redacted(once) == once, "what is redacted stays as it is");
  require(!is_utf8(text) || is_utf8(once), "redacted UTF-8 is UTF-8");
  const std::string clean = normalized_input(text);
  require(clean.find('\0') == std::string::npos && clean.size() <= size,
          "NUL is gone, nothing is added");
  require(normalized_input(clean) == clean, "what is normalized stays as it is");
  require(!is_utf8(text) || is_utf8(clean), "normalized UTF-8 is UTF-8");
  return 0;
}
