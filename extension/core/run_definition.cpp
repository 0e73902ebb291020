#include "extension/core/run_definition.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"

#include <algorithm>
#include <initializer_list>

namespace holdfast {

namespace {

constexpr std::size_t kMostDefinitionBytes = 256 * 1024;
constexpr std::size_t kMostIdBytes = 64;
constexpr std::size_t kMostTextBytes = 255;
constexpr std::int64_t kMostDelayMs = 60'000;
constexpr std::size_t kMostVariants = 10;
constexpr int kMostWeight = 1000;
constexpr std::size_t kMostFallbacks = 5;

using Kind = JsonValue::Kind;
using Names = std::initializer_list<std::string_view>;

const char* kind_name(Kind kind) {
  static constexpr const char* kNames[] = {"null", "boolean", "number", "text", "array", "object"};
  return kNames[static_cast<int>(kind)];
}

// One object of the document: of a step, or of the definition when `step` is empty.
class Reader {
public:
  Reader(std::string step, const JsonValue& object) : step_(std::move(step)), object_(&object) {}

  Error fault(const std::string& kind, const std::string& what) const {
    return definition_fault(step_, kind, what);
  }

  // A misspelt member would be a rule that is silently not kept.
  void only(Names known) const {
    for (const JsonMember& member : object_->members) {
      if (std::find(known.begin(), known.end(), member.name) == known.end())
        throw fault("unknown_member", "\"" + clipped(member.name, kMostIdBytes) +
                                          "\" is no member that is known here.");
    }
  }

  const JsonValue* find(std::string_view name, Kind kind) const {
    const JsonValue* value = object_->find(name);
    if (value == nullptr || value->is(Kind::null)) return nullptr;
    if (value->is(kind)) return value;
    throw fault("bad_value", "\"" + std::string(name) + "\" is " + kind_name(value->kind) +
                                 ", not " + kind_name(kind) + ".");
  }

  std::optional<std::string> text(std::string_view name) const {
    const JsonValue* value = find(name, Kind::text);
    if (value == nullptr) return std::nullopt;
    if (!value->text.empty() && value->text.size() <= kMostTextBytes) return value->text;
    throw fault("bad_value", "\"" + std::string(name) + "\" has " +
                                 std::to_string(value->text.size()) + " bytes, outside 1 to 255.");
  }

  bool flag(std::string_view name, bool otherwise) const {
    const JsonValue* value = find(name, Kind::boolean);
    return value == nullptr ? otherwise : value->flag;
  }

  // A whole number from `least` to `most`.
  std::optional<std::int64_t> whole(std::string_view name, std::int64_t least,
                                    std::int64_t most) const {
    const JsonValue* value = find(name, Kind::number);
    if (value == nullptr) return std::nullopt;
    const std::optional<Usd> number = Usd::parse(value->text);
    const Int128 units = Usd::whole(1).units();
    if (!number || number->units() % units != 0)
      throw fault("bad_value", "\"" + std::string(name) + "\" is no whole number.");
    if (*number >= Usd::whole(least) && *number <= Usd::whole(most))
      return static_cast<std::int64_t>(number->units() / units);
    throw fault("limit", "\"" + std::string(name) + "\" is " + value->text + ", outside " +
                             std::to_string(least) + " to " + std::to_string(most) + ".");
  }

  const JsonValue& object() const { return *object_; }

private:
  std::string step_;
  const JsonValue* object_;
};

void check_provider(const Reader& reader, const std::optional<std::string>& provider) {
  if (!provider) return;
  const bool plain = std::all_of(provider->begin(), provider->end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!plain) throw reader.fault("bad_name", "\"" + *provider + "\" is no name of a provider.");
}

// The members of a step's input, and which of them are templates.
void check_call_input(const Reader& input, const RunLimits& limits) {
  input.only({"prompt", "systemPrompt", "maxTokens", "temperature"});
  input.find("prompt", Kind::text);
  input.find("systemPrompt", Kind::text);
  input.whole("maxTokens", 1, limits.tokens);
  const JsonValue* temperature = input.find("temperature", Kind::number);
  if (temperature == nullptr) return;
  const std::optional<Usd> degree = Usd::parse(temperature->text);
  if (!degree || *degree < Usd() || *degree > Usd::whole(2))
    throw input.fault("limit", "\"temperature\" is " + temperature->text + ", outside 0 to 2.");
}

void check_local_input(const Reader& input, const std::string& action) {
  if (action == "template") {
    input.only({"template"});
  } else if (action == "deliver") {
    input.only({"document"});
  } else if (action == "pick") {
    input.only({"from", "path", "default"});
    input.find("from", Kind::text);
    input.find("path", Kind::text);
    input.find("default", Kind::text);
  } else if (action == "theme") {
    input.only({"name", "colors", "fonts"});
    input.find("name", Kind::text);
    input.find("colors", Kind::object);
    input.find("fonts", Kind::object);
  } else {
    input.only({"template", "values", "fallback"});
    input.find("values", Kind::object);
    input.find("fallback", Kind::text);
  }
  input.find("template", Kind::text);
}

const char* needed_member(const std::string& action) {
  if (action == "generate") return "prompt";
  if (action == "pick") return "from";
  if (action == "theme") return "name";
  if (action == "deliver") return "document";
  return "template";
}

constexpr std::string_view kActions[] = {"generate", "template", "pick", "theme", "personalize"};

bool is_action(const std::string& name, const RunLimits& limits) {
  if (name == "deliver") return limits.delivers;
  return std::find(std::begin(kActions), std::end(kActions), name) != std::end(kActions);
}

void read_input(const Reader& reader, RunStep& step, const RunLimits& limits) {
  const JsonValue* object = reader.find("input", Kind::object);
  if (object != nullptr) step.input = *object;
  step.input.kind = Kind::object;
  const Reader input(step.id, step.input);
  if (step.calls_provider())
    check_call_input(input, limits);
  else
    check_local_input(input, step.action);
  const std::string needed = needed_member(step.action);
  if (input.find(needed, step.delivers() ? Kind::object : Kind::text) == nullptr)
    throw reader.fault("missing", "Its input has no \"" + needed + "\".");
}

void read_variants(const Reader& reader, RunStep& step, const RunLimits& limits) {
  const JsonValue* list = reader.find("variants", Kind::array);
  if (list == nullptr) return;
  if (!step.calls_provider())
    throw reader.fault("bad_value", "Only a step that calls a provider has variants.");
  if (list->items.empty() || list->items.size() > kMostVariants)
    throw reader.fault("limit", "It has " + std::to_string(list->items.size()) +
                                    " variants, outside 1 to " + std::to_string(kMostVariants) +
                                    ".");
  for (const JsonValue& item : list->items) {
    const Reader fields(step.id, item);
    fields.only({"id", "weight", "provider", "model", "input"});
    RunVariant variant;
    variant.id = fields.text("id").value_or("");
    if (!is_name_part(variant.id) || variant.id.size() > kMostIdBytes)
      throw reader.fault("bad_name", "\"" + variant.id + "\" is no id of a variant.");
    for (const RunVariant& other : step.variants) {
      if (other.id == variant.id)
        throw reader.fault("duplicate", "Two variants are named \"" + variant.id + "\".");
    }
    variant.weight = static_cast<int>(fields.whole("weight", 1, kMostWeight).value_or(1));
    variant.provider = fields.text("provider");
    check_provider(fields, variant.provider);
    variant.model = fields.text("model");
    variant.input.kind = Kind::object;
    if (const JsonValue* input = fields.find("input", Kind::object)) variant.input = *input;
    check_call_input(Reader(step.id, variant.input), limits);
    step.variants.push_back(std::move(variant));
  }
}

void read_schema(const Reader& reader, RunStep& step) {
  const JsonValue* schema = reader.find("schema", Kind::object);
  if (schema == nullptr) return;
  if (!step.calls_provider())
    throw reader.fault("bad_value", "Only the answer of a provider is held to a schema.");
  step.schema = JsonSchema::parse(*schema, step.id);
}

void read_fallbacks(const Reader& reader, RunStep& step) {
  const JsonValue* list = reader.find("fallback", Kind::array);
  if (list == nullptr) return;
  if (!step.calls_provider())
    throw reader.fault("bad_value", "Only a step that calls a provider has fallbacks.");
  if (list->items.size() > kMostFallbacks)
    throw reader.fault("limit", "It has " + std::to_string(list->items.size()) +
                                    " fallbacks, more than " + std::to_string(kMostFallbacks) +
                                    ".");
  for (const JsonValue& item : list->items) {
    if (!item.is(Kind::object)) throw reader.fault("bad_value", "A fallback is no JSON object.");
    const Reader fields(step.id, item);
    fields.only({"provider", "model"});
    const RunFallback fallback{fields.text("provider"), fields.text("model")};
    check_provider(fields, fallback.provider);
    if (!fallback.provider && !fallback.model)
      throw reader.fault("missing", "A fallback has neither \"provider\" nor \"model\".");
    step.fallbacks.push_back(fallback);
  }
}

void read_retry(const Reader& reader, RunStep& step, const RunLimits& limits) {
  const JsonValue* object = reader.find("retry", Kind::object);
  if (object == nullptr) return;
  const Reader retry(step.id, *object);
  retry.only({"maxAttempts", "delayMs"});
  step.most_attempts = static_cast<int>(retry.whole("maxAttempts", 1, limits.attempts).value_or(1));
  step.delay_ms = retry.whole("delayMs", 0, kMostDelayMs).value_or(step.delay_ms);
}

RunStep read_step(const JsonValue& item, const RunLimits& limits) {
  if (!item.is(Kind::object)) throw definition_fault("", "bad_value", "A step is no JSON object.");
  const JsonValue* id = item.find("id");
  RunStep step;
  step.id = id != nullptr && id->is(Kind::text) ? id->text : "";
  if (!is_name_part(step.id) || step.id.size() > kMostIdBytes)
    throw definition_fault(clipped(step.id, kMostIdBytes), "bad_name",
                           "A step's id is 1 to 64 letters, digits and _.");
  const Reader reader(step.id, item);
  for (const std::string_view reserved : {"input", "end", "continue"}) {
    if (step.id == reserved) throw reader.fault("bad_name", "This id is a word of the language.");
  }
  reader.only({"id", "action", "provider", "model", "input", "onSuccess", "onFailure", "condition",
               "retry", "cache", "approval", "variants", "fallback", "schema", "description"});
  step.action = reader.text("action").value_or("generate");
  if (!is_action(step.action, limits))
    throw reader.fault("unknown_action", "There is no action \"" + step.action + "\".")
        .hint("Actions are generate, template, pick, theme and personalize.");
  step.provider = reader.text("provider");
  check_provider(reader, step.provider);
  step.model = reader.text("model");
  if (!step.calls_provider() && (step.provider || step.model))
    throw reader.fault("bad_value", "Action \"" + step.action + "\" calls no provider.");
  read_input(reader, step, limits);
  read_variants(reader, step, limits);
  read_schema(reader, step);
  read_fallbacks(reader, step);
  read_retry(reader, step, limits);
  step.approval = reader.flag("approval", false);
  return step;
}

// onSuccess and onFailure: a step's id or several; nothing follows on "end".
std::vector<int> read_targets(const Reader& reader, std::string_view member,
                              const std::vector<RunStep>& steps) {
  const JsonValue* value = reader.object().find(member);
  if (value == nullptr || value->is(Kind::null)) return {};
  std::vector<JsonValue> names = value->items;
  if (value->is(Kind::text)) names = {*value};
  if (names.empty())
    throw reader.fault("bad_value", "\"" + std::string(member) + "\" names no step.");
  std::vector<int> targets;
  for (const JsonValue& name : names) {
    if (name.text == "end" && names.size() == 1) return {};
    const auto found = std::find_if(steps.begin(), steps.end(), [&](const RunStep& step) {
      return name.is(Kind::text) && step.id == name.text;
    });
    if (found == steps.end())
      throw reader.fault("unknown_target", "\"" + std::string(member) + "\" names \"" +
                                               clipped(name.plain(), kMostIdBytes) +
                                               "\", which is no step.");
    const int target = static_cast<int>(found - steps.begin());
    if (std::find(targets.begin(), targets.end(), target) == targets.end())
      targets.push_back(target);
  }
  return targets;
}

void read_flow(const JsonValue& item, RunStep& step, const RunDefinition& definition,
               bool caching) {
  const Reader reader(step.id, item);
  step.on_success = read_targets(reader, "onSuccess", definition.steps);
  const JsonValue* failure = item.find("onFailure");
  step.continues_on_failure =
      failure != nullptr && failure->is(Kind::text) && failure->text == "continue";
  if (!step.continues_on_failure)
    step.on_failure = read_targets(reader, "onFailure", definition.steps);
  step.cache = reader.flag("cache", false) && caching;
  const JsonValue* condition = reader.find("condition", Kind::text);
  if (condition == nullptr) return;
  if (condition->text.find_first_not_of(" \n\t") == std::string::npos)
    throw reader.fault("bad_condition", "The condition is empty.");
  step.condition = Condition::parse(condition->text, step.id);
}

// Returns whether answers may be kept and used again.
bool read_settings(const Reader& reader, RunDefinition& definition, std::size_t steps,
                   const RunLimits& limits) {
  definition.most_cost = limits.cost;
  definition.timeout_ms = limits.timeout_ms;
  std::int64_t most_steps = limits.steps;
  const JsonValue* object = reader.find("settings", Kind::object);
  const JsonValue none{Kind::object, false, "", {}, {}};
  const Reader settings("", object == nullptr ? none : *object);
  settings.only({"maxTotalCost", "timeout", "maxSteps", "enableCaching"});
  if (const JsonValue* cost = settings.find("maxTotalCost", Kind::number)) {
    const std::optional<Usd> most = Usd::parse(cost->text);
    if (!most || *most < Usd() || *most > limits.cost)
      throw settings.fault("limit", "\"maxTotalCost\" is " + cost->text + ", outside 0 to " +
                                        limits.cost.str() + " USD.");
    definition.most_cost = *most;
  }
  definition.timeout_ms =
      settings.whole("timeout", 1, limits.timeout_ms).value_or(limits.timeout_ms);
  most_steps = settings.whole("maxSteps", 1, limits.steps).value_or(most_steps);
  if (steps == 0 || static_cast<std::int64_t>(steps) > most_steps)
    throw settings.fault("limit", "It has " + std::to_string(steps) + " steps, outside 1 to " +
                                      std::to_string(most_steps) + ".");
  definition.most_tokens = limits.tokens;
  return settings.flag("enableCaching", true);
}

std::optional<std::vector<std::string>> read_declared(const Reader& reader) {
  const JsonValue* list = reader.find("inputs", Kind::array);
  if (list == nullptr) return std::nullopt;
  std::vector<std::string> names;
  for (const JsonValue& item : list->items) {
    if (!item.is(Kind::text) || !is_name_part(item.text))
      throw reader.fault("bad_name", "\"inputs\" names " + clipped(item.str(), kMostIdBytes) +
                                         ", which is no name of an input.");
    names.push_back(item.text);
  }
  return names;
}

std::string read_version(const Reader& reader) {
  const JsonValue* value = reader.object().find("version");
  if (value != nullptr && value->is(Kind::number)) return value->text;
  return reader.text("version").value_or("1");
}

} // namespace

JsonValue input_of(const RunStep& step, const std::string& variant) {
  JsonValue input = step.input;
  for (const RunVariant& other : step.variants) {
    if (other.id != variant) continue;
    for (const JsonMember& replaced : other.input.members) {
      const auto same = [&](const JsonMember& member) { return member.name == replaced.name; };
      input.members.erase(std::remove_if(input.members.begin(), input.members.end(), same),
                          input.members.end());
      input.members.push_back(replaced);
    }
  }
  return input;
}

int RunDefinition::approvals() const {
  return static_cast<int>(
      std::count_if(steps.begin(), steps.end(), [](const RunStep& step) { return step.approval; }));
}

RunDefinition parse_definition(std::string_view json, const RunLimits& limits) {
  if (json.size() > kMostDefinitionBytes)
    throw definition_fault("", "limit", "It is longer than 256 KB.");
  const std::optional<JsonValue> document = JsonValue::parse(json);
  if (!document || !document->is(Kind::object))
    throw definition_fault("", "bad_value", "It is no JSON object.");
  const Reader reader("", *document);
  reader.only({"name", "version", "description", "inputs", "steps", "settings", "metadata"});
  RunDefinition definition;
  definition.name = reader.text("name").value_or("");
  if (definition.name.empty()) throw reader.fault("missing", "It has no \"name\".");
  definition.version = read_version(reader);
  const JsonValue* steps = reader.find("steps", Kind::array);
  if (steps == nullptr) throw reader.fault("missing", "It has no \"steps\".");
  const bool caching = read_settings(reader, definition, steps->items.size(), limits);
  for (const JsonValue& item : steps->items) {
    definition.steps.push_back(read_step(item, limits));
    for (std::size_t i = 0; i + 1 < definition.steps.size(); ++i) {
      if (definition.steps[i].id == definition.steps.back().id)
        throw definition_fault(definition.steps[i].id, "duplicate", "Another step has this id.");
    }
  }
  for (std::size_t i = 0; i < definition.steps.size(); ++i)
    read_flow(steps->items[i], definition.steps[i], definition, caching);
  link_steps(definition, read_declared(reader));
  if (std::none_of(definition.steps.begin(), definition.steps.end(),
                   [](const RunStep& step) { return step.calls_provider(); }))
    definition.most_cost = Usd(); // whatever the settings say: there is nothing to pay
  return definition;
}

void check_input(const RunDefinition& definition, const JsonValue& input) {
  for (const TextTemplate::Name& name : definition.inputs) {
    const JsonValue* value = &input;
    std::string path;
    for (std::size_t i = 1; i < name.size(); ++i) {
      if (value != nullptr) value = at_path(*value, name[i]);
      path += (i > 1 ? "." : "") + name[i];
    }
    if (value == nullptr)
      throw bad_value("The input has no \"" + path + "\".")
          .detail(JsonObject().text("field", "input." + path).str())
          .hint("Workflow \"" + definition.name + "\" uses it: give it, if only as an empty text.");
  }
}

} // namespace holdfast
