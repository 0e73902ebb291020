#include "extension/core/run_plan.hpp"

#include "extension/core/json_object.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace holdfast {

namespace {

constexpr std::array<const char*, 9> kStatusNames = {"pending", "waiting",   "ready",
                                                     "running", "completed", "failed",
                                                     "skipped", "unreached", "cancelled"};

bool contains(const std::vector<int>& steps, int step) {
  return std::find(steps.begin(), steps.end(), step) != steps.end();
}

class Planner {
public:
  explicit Planner(RunState& run) : run_(run), steps_(run.definition->steps) {}

  RunVerdict advance() {
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < steps_.size(); ++i) {
        if (run_.steps[i].status != StepStatus::pending) continue;
        changed = begin(static_cast<int>(i)) || changed;
      }
    }
    return verdict();
  }

private:
  const StepState& state(int i) const { return run_.steps[static_cast<std::size_t>(i)]; }
  const RunStep& step(int i) const { return steps_[static_cast<std::size_t>(i)]; }

  // Whether the run goes on behind this step as if all was well.
  bool passes(int i) const {
    const StepStatus status = state(i).status;
    return status == StepStatus::completed || status == StepStatus::skipped ||
           (status == StepStatus::failed && step(i).continues_on_failure);
  }

  enum class Way { undecided, open, closed };

  // Whether something leads to a step: of several ways one is enough, once all are decided.
  Way way_to(int target) const {
    bool is_led = false;
    bool is_open = false;
    for (int i = 0; i < static_cast<int>(steps_.size()); ++i) {
      const bool after_success = contains(step(i).on_success, target);
      const bool after_failure = contains(step(i).on_failure, target);
      const bool reads = contains(step(target).reads, i);
      if ((after_success || after_failure || reads) && !has_ended(state(i).status))
        return Way::undecided;
      is_led = is_led || after_success || after_failure;
      is_open = is_open || (after_success && passes(i)) ||
                (after_failure && state(i).status == StepStatus::failed);
    }
    if (is_led) return is_open ? Way::open : Way::closed;
    // Nothing but data leads here: without the data there is nothing to do.
    const std::vector<int>& reads = step(target).reads;
    return std::all_of(reads.begin(), reads.end(), [this](int i) { return passes(i); })
               ? Way::open
               : Way::closed;
  }

  // Whether the step has moved on.
  bool begin(int i) {
    StepState& own = run_.steps[static_cast<std::size_t>(i)];
    const Way way = way_to(i);
    if (way == Way::undecided) return false;
    const auto read = [this](const TextTemplate::Name& name) { return value_of(run_, name); };
    if (way == Way::closed)
      own.status = StepStatus::unreached;
    else if (!step(i).condition.holds(read))
      own.status = StepStatus::skipped;
    else if (step(i).approval && !own.approved)
      own.status = StepStatus::waiting;
    else if (step(i).needs_worker())
      own.status = StepStatus::ready;
    else
      finish_local(i, own);
    return true;
  }

  void finish_local(int i, StepState& own) const {
    LocalResult result = run_local(run_, step(i));
    own.status = result.error.empty() ? StepStatus::completed : StepStatus::failed;
    own.output = std::move(result.output);
    own.error = std::move(result.error);
  }

  RunVerdict verdict() const {
    RunVerdict verdict;
    verdict.has_ended = true;
    for (int i = 0; i < static_cast<int>(steps_.size()); ++i) {
      const StepStatus status = state(i).status;
      if (status == StepStatus::failed && step(i).on_failure.empty() &&
          !step(i).continues_on_failure) {
        verdict.has_ended = true;
        verdict.error = state(i).error;
        return verdict;
      }
      verdict.has_ended = verdict.has_ended && has_ended(status);
    }
    return verdict;
  }

  RunState& run_;
  const std::vector<RunStep>& steps_;
};

// FNV-1a with a final mix: spreads evenly, and is the same on every machine for ever.
std::uint64_t spread(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ULL;
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  return hash;
}

} // namespace

const char* status_name(StepStatus status) {
  return kStatusNames[static_cast<std::size_t>(status)];
}

StepStatus parse_step_status(std::string_view name) {
  for (std::size_t i = 0; i < kStatusNames.size(); ++i) {
    if (name == kStatusNames[i]) return static_cast<StepStatus>(i);
  }
  throw Error("XX000", "a step has the unknown status " + std::string(name));
}

bool has_ended(StepStatus status) {
  return status >= StepStatus::completed;
}

RunVerdict advance(RunState& run) {
  return Planner(run).advance();
}

std::string value_of(const RunState& run, const TextTemplate::Name& name) {
  if (name.front() == "input") {
    const JsonValue* value = &run.input;
    for (std::size_t i = 1; i < name.size() && value != nullptr; ++i)
      value = at_path(*value, name[i]);
    return value == nullptr ? std::string() : value->plain();
  }
  const std::vector<RunStep>& steps = run.definition->steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].id != name.front()) continue;
    if (name[1] == "error") return run.steps[i].error;
    if (name.size() == 2) return run.steps[i].output;
    const std::optional<JsonValue> output = JsonValue::parse(run.steps[i].output);
    const JsonValue* value = output ? &*output : nullptr;
    for (std::size_t part = 2; part < name.size() && value != nullptr; ++part)
      value = at_path(*value, name[part]);
    return value == nullptr ? std::string() : value->plain();
  }
  return {};
}

std::optional<std::string> render(const RunState& run, const std::string& text) {
  return TextTemplate::parse(text).render(
      [&run](const TextTemplate::Name& name) { return value_of(run, name); }, kMostRenderedBytes);
}

std::string step_error(const std::string& code, const std::string& message) {
  return JsonObject().text("code", code).text("message", message).str();
}

std::string draw_variant(const RunDefinition& definition, const RunStep& step,
                         const std::string& key) {
  std::uint64_t total = 0;
  for (const RunVariant& variant : step.variants)
    total += static_cast<std::uint64_t>(variant.weight);
  if (total == 0) return {}; // it has none: a weight is at least 1
  std::uint64_t drawn = spread(definition.name + '\n' + step.id + '\n' + key) % total;
  for (const RunVariant& variant : step.variants) {
    const auto weight = static_cast<std::uint64_t>(variant.weight);
    if (drawn < weight) return variant.id;
    drawn -= weight;
  }
  return step.variants.back().id;
}

} // namespace holdfast
