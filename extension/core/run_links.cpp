// How the steps of a definition hang together: what they read, and that no step waits for itself.
#include "extension/core/run_definition.hpp"

#include <algorithm>

namespace holdfast {

namespace {

using Name = TextTemplate::Name;

std::string joined(const Name& name) {
  std::string text;
  for (const std::string& part : name)
    text += (text.empty() ? "" : ".") + part;
  return text;
}

void add_names(const std::string& step, const JsonValue& value, std::vector<Name>& names) {
  if (value.is(JsonValue::Kind::text)) {
    const std::vector<Name> found = TextTemplate::parse(value.text, step).names();
    names.insert(names.end(), found.begin(), found.end());
  }
  for (const JsonMember& member : value.members)
    add_names(step, member.value, names);
  for (const JsonValue& item : value.items)
    add_names(step, item, names);
}

class Linker {
public:
  Linker(RunDefinition& definition, const std::optional<std::vector<std::string>>& declared)
      : definition_(definition), declared_(declared) {}

  void link() {
    for (RunStep& step : definition_.steps) {
      std::vector<Name> names = step.condition.names();
      add_names(step.id, step.input, names);
      for (const RunVariant& variant : step.variants)
        add_names(step.id, variant.input, names);
      for (const Name& name : names)
        use(step, name);
    }
    refuse_cycles();
  }

private:
  Error unknown(const RunStep& step, const Name& name, const std::string& why) const {
    return definition_fault(step.id, "unknown_variable", "{{" + joined(name) + "}} " + why + ".")
        .hint("Variables are {{input.name}}, and {{step.output}} or {{step.error}} of a step.");
  }

  void use(RunStep& step, const Name& name) {
    if (name.front() == "input") {
      use_input(step, name);
      return;
    }
    const auto found = std::find_if(definition_.steps.begin(), definition_.steps.end(),
                                    [&](const RunStep& other) { return other.id == name.front(); });
    if (found == definition_.steps.end()) throw unknown(step, name, "names no step");
    if (name.size() < 2 || (name[1] != "output" && (name[1] != "error" || name.size() > 2)))
      throw unknown(step, name, "is nothing that a step has");
    const int source = static_cast<int>(found - definition_.steps.begin());
    if (std::find(step.reads.begin(), step.reads.end(), source) == step.reads.end())
      step.reads.push_back(source);
  }

  void use_input(const RunStep& step, const Name& name) {
    if (name.size() < 2) throw unknown(step, name, "names no input");
    if (declared_ && std::find(declared_->begin(), declared_->end(), name[1]) == declared_->end())
      throw unknown(step, name, "is none of the definition's \"inputs\"");
    std::vector<Name>& inputs = definition_.inputs;
    if (std::find(inputs.begin(), inputs.end(), name) == inputs.end()) inputs.push_back(name);
  }

  // Takes away, again and again, the steps that wait for nobody left; what remains waits in a ring.
  void refuse_cycles() const {
    const std::size_t count = definition_.steps.size();
    std::vector<std::vector<int>> waits(count);
    for (std::size_t i = 0; i < count; ++i) {
      const RunStep& step = definition_.steps[i];
      waits[i].insert(waits[i].end(), step.reads.begin(), step.reads.end());
      for (const std::vector<int>* targets : {&step.on_success, &step.on_failure})
        for (const int target : *targets)
          waits[static_cast<std::size_t>(target)].push_back(static_cast<int>(i));
    }
    std::vector<bool> gone(count);
    const auto is_gone = [&](int i) { return gone[static_cast<std::size_t>(i)]; };
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < count; ++i) {
        if (gone[i] || !std::all_of(waits[i].begin(), waits[i].end(), is_gone)) continue;
        gone[i] = true;
        changed = true;
      }
    }
    const auto stuck = std::find(gone.begin(), gone.end(), false);
    if (stuck == gone.end()) return;
    throw definition_fault(definition_.steps[static_cast<std::size_t>(stuck - gone.begin())].id,
                           "cycle", "It would have to wait for itself.")
        .hint("Follow onSuccess, onFailure and {{step.output}} round: a run only goes forward.");
  }

  RunDefinition& definition_;
  const std::optional<std::vector<std::string>>& declared_;
};

} // namespace

void link_steps(RunDefinition& definition,
                const std::optional<std::vector<std::string>>& declared) {
  Linker(definition, declared).link();
}

} // namespace holdfast
