// Steps that need no provider.
#include "extension/core/run_plan.hpp"

#include "extension/core/json_object.hpp"

#include <algorithm>

namespace holdfast {

namespace {

struct Theme {
  const char* name;
  const char* background;
  const char* text;
  const char* accent;
  const char* heading_font;
  const char* body_font;
};
constexpr Theme kThemes[] = {
    {"classic", "#ffffff", "#1f2937", "#1d4ed8", "Georgia", "Arial"},
    {"dark", "#111827", "#f9fafb", "#38bdf8", "Arial", "Arial"},
    {"warm", "#fff7ed", "#431407", "#ea580c", "Palatino", "Verdana"},
    {"forest", "#f0fdf4", "#14532d", "#15803d", "Georgia", "Verdana"},
    {"mono", "#ffffff", "#000000", "#525252", "Courier New", "Courier New"},
};

LocalResult failed(const std::string& code, const std::string& message) {
  return {"", step_error(code, message)};
}

LocalResult too_long() {
  return failed("too_long", "What the step makes is longer than 50 KB.");
}

std::string text_member(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.find(name);
  return value == nullptr ? std::string() : value->text;
}

LocalResult fill_template(const RunState& run, const JsonValue& input) {
  std::optional<std::string> text = render(run, text_member(input, "template"));
  return text ? LocalResult{std::move(*text), ""} : too_long();
}

LocalResult pick(const RunState& run, const JsonValue& input) {
  const std::optional<std::string> from = render(run, text_member(input, "from"));
  const std::optional<std::string> path = render(run, text_member(input, "path"));
  if (!from || !path) return too_long();
  const std::vector<JsonValue> documents = json_in(*from);
  const JsonValue* value = documents.empty() ? nullptr : at_path(documents.front(), *path);
  if (value != nullptr) return {value->plain(), ""};
  if (const JsonValue* otherwise = input.find("default")) {
    std::optional<std::string> text = render(run, otherwise->text);
    return text ? LocalResult{std::move(*text), ""} : too_long();
  }
  if (documents.empty()) return failed("not_json", "The text to pick from is no JSON.");
  return failed("nothing_there", "The JSON has nothing at \"" + clipped(*path, 255) + "\".");
}

// The named theme, or the first one; colors and fonts of the input replace its own.
LocalResult theme(const RunState& run, const JsonValue& input) {
  const std::optional<std::string> name = render(run, text_member(input, "name"));
  if (!name) return too_long();
  const Theme* chosen = std::find_if(std::begin(kThemes), std::end(kThemes),
                                     [&](const Theme& known) { return *name == known.name; });
  if (chosen == std::end(kThemes)) chosen = std::begin(kThemes);
  const auto group = [&](const char* member,
                         std::vector<std::pair<std::string, std::string>> parts) {
    if (const JsonValue* own = input.find(member)) {
      for (const JsonMember& part : own->members) {
        const std::string value = render(run, part.value.plain()).value_or("");
        const auto same = [&](const auto& known) { return known.first == part.name; };
        const auto known = std::find_if(parts.begin(), parts.end(), same);
        if (known == parts.end())
          parts.emplace_back(part.name, value);
        else
          known->second = value;
      }
    }
    JsonObject object;
    for (const auto& [part, value] : parts)
      object.text(part, value);
    return object.str();
  };
  std::string json = "{\"name\": ";
  append_json_string(json, chosen->name);
  json += ", \"colors\": " + group("colors", {{"background", chosen->background},
                                              {"text", chosen->text},
                                              {"accent", chosen->accent}});
  json += ", \"fonts\": " +
          group("fonts", {{"heading", chosen->heading_font}, {"body", chosen->body_font}}) + "}";
  if (json.size() > kMostRenderedBytes) return too_long();
  return {std::move(json), ""};
}

// Replaces [[name]] in the text by the value of that name; what has none becomes the fallback.
LocalResult personalize(const RunState& run, const JsonValue& input) {
  const std::optional<std::string> text = render(run, text_member(input, "template"));
  const std::optional<std::string> fallback = render(run, text_member(input, "fallback"));
  if (!text || !fallback) return too_long();
  const JsonValue* values = input.find("values");
  std::string result;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t open = rest.find("[[");
    const std::size_t close = open == rest.npos ? rest.npos : rest.find("]]", open);
    if (close == rest.npos) break;
    const std::string_view name = rest.substr(open + 2, close - open - 2);
    const JsonValue* value = values == nullptr ? nullptr : values->find(name);
    result += rest.substr(0, open);
    if (!is_name_part(name))
      result += rest.substr(open, close + 2 - open);
    else
      result += value == nullptr ? *fallback : render(run, value->plain()).value_or(*fallback);
    rest.remove_prefix(close + 2);
    if (result.size() > kMostRenderedBytes) return too_long();
  }
  result += rest;
  if (result.size() > kMostRenderedBytes) return too_long();
  return {std::move(result), ""};
}

// The name that a text consists of, if it is one alone.
std::optional<TextTemplate::Name> only_name(const std::string& text) {
  const std::vector<TextTemplate::Name> names = TextTemplate::parse(text).names();
  if (names.size() != 1 || text.rfind("{{", 0) != 0 || text.find("}}") + 2 != text.size())
    return std::nullopt;
  return names.front();
}

JsonValue value_itself(const RunState& run, const TextTemplate::Name& name) {
  if (name.front() == "input") {
    const JsonValue* value = &run.input;
    for (std::size_t i = 1; i < name.size() && value != nullptr; ++i)
      value = at_path(*value, name[i]);
    return value == nullptr ? JsonValue() : *value;
  }
  std::string text = value_of(run, name);
  if (std::optional<JsonValue> json = JsonValue::parse(text)) return std::move(*json);
  JsonValue value;
  value.kind = JsonValue::Kind::text;
  value.text = std::move(text);
  return value;
}

// False when it grows too long.
bool fill(const RunState& run, JsonValue& value) {
  if (value.is(JsonValue::Kind::text)) {
    if (const auto name = only_name(value.text)) {
      value = value_itself(run, *name);
      return true;
    }
    std::optional<std::string> text = render(run, value.text);
    if (text) value.text = std::move(*text);
    return text.has_value();
  }
  return std::all_of(value.items.begin(), value.items.end(),
                     [&](JsonValue& item) { return fill(run, item); }) &&
         std::all_of(value.members.begin(), value.members.end(),
                     [&](JsonMember& member) { return fill(run, member.value); });
}

} // namespace

std::optional<std::string> render_document(const RunState& run, const RunStep& step) {
  const JsonValue* document = step.input.find("document");
  JsonValue filled = document == nullptr ? JsonValue() : *document;
  if (!fill(run, filled)) return std::nullopt;
  std::string json = filled.str();
  if (json.size() > kMostDocumentBytes) return std::nullopt;
  return json;
}

LocalResult run_local(const RunState& run, const RunStep& step) {
  if (step.action == "template") return fill_template(run, step.input);
  if (step.action == "pick") return pick(run, step.input);
  if (step.action == "theme") return theme(run, step.input);
  return personalize(run, step.input);
}

} // namespace holdfast
