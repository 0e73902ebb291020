// A definition of a run: refused with what is wrong, or a run of it comes to its end.
#include "extension/core/run_plan.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace holdfast;
using fuzz::require;

// Every input that the definition names, as a text.
JsonValue input_of(const RunDefinition& definition) {
  JsonValue input;
  input.kind = JsonValue::Kind::object;
  for (const TextTemplate::Name& name : definition.inputs) {
    if (name.size() < 2 || input.find(name[1]) != nullptr) continue;
    JsonValue text;
    text.kind = JsonValue::Kind::text;
    text.text = "{{" + name[1] + ".output}}";
    input.members.push_back({name[1], text});
  }
  return input;
}

// Does what is ready, each third step failing, until the run has ended.
void run(const RunDefinition& definition, JsonValue input) {
  RunState state;
  state.definition = &definition;
  state.input = std::move(input);
  state.steps.resize(definition.steps.size());
  RunVerdict verdict = advance(state);
  for (std::size_t done = 0; !verdict.has_ended; ++done) {
    require(done <= 2 * definition.steps.size(), "a run comes to its end");
    for (std::size_t i = 0; i < state.steps.size(); ++i) {
      StepState& step = state.steps[i];
      if (step.status == StepStatus::waiting) {
        step.approved = true;
        step.status = StepStatus::pending;
      } else if (step.status == StepStatus::ready) {
        render(state, definition.steps[i].input.str());
        step.status = i % 3 == 2 ? StepStatus::failed : StepStatus::completed;
        if (i % 3 == 2) step.error = step_error("server", "broken");
        step.output = "{\"title\": [1, \"{{x}}\"]}";
      }
    }
    verdict = advance(state);
  }
  for (const StepState& step : state.steps)
    require(!verdict.error.empty() || has_ended(step.status),
            "a run that completed leaves no step behind");
}

RunLimits most() {
  RunLimits limits;
  limits.delivers = true;
  return limits;
}

void check(const RunDefinition& definition) {
  const RunLimits limits = most();
  require(!definition.steps.empty() && static_cast<int>(definition.steps.size()) <= limits.steps,
          "a run has some steps");
  require(definition.timeout_ms > 0 && definition.timeout_ms <= limits.timeout_ms &&
              definition.most_tokens <= limits.tokens && !(limits.cost < definition.most_cost),
          "settings lower the limits");
  for (const RunStep& step : definition.steps) {
    require(step.most_attempts >= 1 && step.most_attempts <= limits.attempts,
            "attempts are bounded");
    for (const RunVariant& variant : step.variants)
      holdfast::input_of(step, variant.id);
    draw_variant(definition, step, "key");
  }
  JsonValue input = input_of(definition);
  try {
    check_input(definition, input);
  } catch (const Error& error) {
    require(error.sqlstate() == "PT400", "an input that is missing is a PT400");
    return;
  }
  run(definition, std::move(input));
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    check(parse_definition(fuzz::text_of(data, size), most()));
  } catch (const Error& error) {
    require(error.sqlstate() == "PT422" && JsonValue::parse(error.detail()).has_value(),
            "a refusal is a PT422 whose detail is JSON");
  }
  return 0;
}
