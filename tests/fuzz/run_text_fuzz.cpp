// What stands in a definition's texts: templates, conditions, JSON, paths.
#include "extension/core/condition.hpp"
#include "extension/core/json_value.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace holdfast;
using fuzz::require;

std::string value_of(const TextTemplate::Name& name) {
  return name.front() + "{{x}}";
}

void check_template(std::string_view text) {
  constexpr std::size_t kMostBytes = 1000;
  const TextTemplate parsed = TextTemplate::parse(text);
  for (const TextTemplate::Name& name : parsed.names())
    for (const std::string& part : name)
      require(is_name_part(part), "a name is made of name parts");
  const auto rendered = parsed.render(value_of, kMostBytes);
  require(!rendered || rendered->size() <= kMostBytes, "what is rendered is bounded");
  if (parsed.names().empty() && text.size() <= kMostBytes)
    require(rendered == std::string(text), "a text without names is itself");
}

void check_condition(std::string_view text) {
  const Condition condition = Condition::parse(text);
  require(condition.holds(value_of) == condition.holds(value_of), "a condition is decided");
  condition.names();
}

void check_json(std::string_view text, std::string_view path) {
  const auto value = JsonValue::parse(text);
  if (!value) return;
  const std::string written = value->str();
  const auto again = JsonValue::parse(written);
  require(again && again->str() == written, "JSON written again is the same");
  if (const JsonValue* found = at_path(*value, path)) found->plain();
}

template <typename Check>
void refused_or_right(Check check) {
  try {
    check();
  } catch (const Error& error) {
    require(error.sqlstate() == "PT422" && JsonValue::parse(error.detail()).has_value(),
            "a refusal is a PT422 whose detail is JSON");
  }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  refused_or_right([&] { check_template(text); });
  refused_or_right([&] { check_condition(text); });
  std::string_view rest = text;
  const std::string_view path = fuzz::take_line(rest);
  check_json(text, "");
  check_json(rest, path);
  require(clipped(text, 7).size() <= 7, "what is clipped is short");
  return 0;
}
