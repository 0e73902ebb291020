#include "extension/core/model_name.hpp"

#include <algorithm>
#include <cstddef>

namespace holdfast {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool matches(std::string_view text, std::string_view shape) { // '#' stands for a digit
  return text.size() == shape.size() &&
         std::equal(text.begin(), text.end(), shape.begin(),
                    [](char c, char s) { return s == '#' ? is_digit(c) : c == s; });
}

// The ways in which providers append a snapshot to a model's name.
constexpr std::string_view kSuffixShapes[] = {
    "-latest",        "-####-##-##", "-########", "@########", "-##-####",
    "-preview-##-##", "-####",       "-###",      "@latest",
};

bool cut_suffix(std::string& id) {
  const std::size_t colon = id.rfind(':');
  if (colon != std::string::npos && colon > 0) { // openrouter's :free, :nitro; bedrock's :0
    id.resize(colon);
    return true;
  }
  for (const std::string_view shape : kSuffixShapes) {
    if (id.size() <= shape.size()) continue;
    if (!matches(std::string_view(id).substr(id.size() - shape.size()), shape)) continue;
    id.resize(id.size() - shape.size());
    return true;
  }
  return false;
}

bool cut_prefix(std::string& id) {
  const std::size_t slash = id.find('/');
  if (slash == std::string::npos || slash + 1 == id.size()) return false;
  id.erase(0, slash + 1);
  return true;
}

std::string lower_case(std::string_view text) {
  std::string id;
  id.reserve(text.size());
  for (const char c : text) {
    if (c == ' ' || c == '\t') continue;
    id += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return id;
}

} // namespace

std::vector<std::string> model_candidates(std::string_view model) {
  std::vector<std::string> candidates;
  std::string prefixed = lower_case(model);
  do { // with each prefix still on, try every suffix cut: "perplexity/sonar" is an id of its own
    std::string id = prefixed;
    do {
      if (std::find(candidates.begin(), candidates.end(), id) == candidates.end())
        candidates.push_back(id);
    } while (cut_suffix(id));
  } while (cut_prefix(prefixed));
  return candidates;
}

std::string plain_model(std::string_view model) {
  return model_candidates(model).back();
}

} // namespace holdfast
