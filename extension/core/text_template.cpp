#include "extension/core/text_template.hpp"

#include "extension/core/json_object.hpp"

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::size_t kMostNameBytes = 255;
constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

Error bad_name(const std::string& step, const std::string& what) {
  return definition_fault(step, "bad_name", what)
      .hint("A variable is {{input.name}} or {{step.output}}, of letters, digits and _.");
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

TextTemplate::Name parse_name(std::string_view text, const std::string& step) {
  TextTemplate::Name name;
  std::string_view rest = trimmed(text);
  if (rest.size() > kMostNameBytes) throw bad_name(step, "A variable's name is too long.");
  while (true) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    name.emplace_back(rest.substr(0, dot));
    if (!is_name_part(name.back()))
      throw bad_name(step, "{{" + clipped(text, 64) + "}} is no variable.");
    if (dot == rest.size()) return name;
    rest.remove_prefix(dot + 1);
  }
}

} // namespace

Error definition_fault(const std::string& step, const std::string& fault, const std::string& what) {
  JsonObject detail;
  if (!step.empty()) detail.text("step", step);
  detail.text("fault", fault);
  return invalid(step.empty() ? "The definition is refused: " + what
                              : "Step \"" + step + "\" is refused: " + what)
      .detail(detail.str());
}

std::string clipped(std::string_view text, std::size_t most_bytes) {
  std::size_t end = std::min(text.size(), most_bytes);
  const auto continues = [&](std::size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
  };
  while (end > 0 && end < text.size() && continues(end))
    --end;
  return std::string(text.substr(0, end));
}

bool is_name_part(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

TextTemplate TextTemplate::parse(std::string_view text, const std::string& step) {
  TextTemplate result;
  while (!text.empty()) {
    const std::size_t open = std::min(text.find(kOpen), text.size());
    if (open > 0) result.pieces_.push_back({std::string(text.substr(0, open)), {}});
    text.remove_prefix(open);
    if (text.empty()) break;
    const std::size_t close = text.find(kClose);
    if (close == text.npos) throw bad_name(step, "A {{ has no }}.");
    result.pieces_.push_back(
        {"", parse_name(text.substr(kOpen.size(), close - kOpen.size()), step)});
    text.remove_prefix(close + kClose.size());
  }
  return result;
}

std::vector<TextTemplate::Name> TextTemplate::names() const {
  std::vector<Name> found;
  for (const Piece& piece : pieces_) {
    if (!piece.name.empty()) found.push_back(piece.name);
  }
  return found;
}

std::optional<std::string>
TextTemplate::render(const std::function<std::string(const Name&)>& value_of,
                     std::size_t most_bytes) const {
  std::string result;
  for (const Piece& piece : pieces_) {
    result += piece.name.empty() ? piece.text : value_of(piece.name);
    if (result.size() > most_bytes) return std::nullopt;
  }
  return result;
}

} // namespace holdfast
