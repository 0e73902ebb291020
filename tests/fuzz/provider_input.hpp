// A provider's answer as an input: `name status`, header lines, an empty line, the body.
#pragma once

#include "gateway/providers/registry.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <charconv>
#include <optional>

namespace holdfast::fuzz {

struct ProviderInput {
  const provider::ProviderInfo* info = nullptr;
  const provider::Adapter* adapter = nullptr;
  provider::HttpAnswer answer;
};

// Nothing when no provider speaks HTTP under that name.
inline std::optional<ProviderInput> provider_input(std::string_view text) {
  ProviderInput input;
  const std::string_view head = take_line(text);
  const std::size_t space = std::min(head.find(' '), head.size());
  const provider::ProviderInfo* info = provider::find_provider(head.substr(0, space));
  if (info == nullptr || info->adapter == nullptr) return std::nullopt;
  input.info = info;
  input.adapter = info->adapter;
  input.answer.status = 200;
  if (space < head.size())
    std::from_chars(head.data() + space + 1, head.data() + head.size(), input.answer.status);
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) break;
    input.answer.headers.emplace(line.substr(0, colon), line.substr(colon + 1));
  }
  input.answer.body = text;
  return input;
}

} // namespace holdfast::fuzz
