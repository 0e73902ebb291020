#pragma once

#include "extension/core/run_definition.hpp"

namespace holdfast {

// How a step of a run stands. pending: what it waits for has not ended. waiting: for an approval.
// skipped: its condition did not hold, the run goes on behind it. unreached: nothing led to it.
enum class StepStatus {
  pending,
  waiting,
  ready,
  running,
  completed,
  failed,
  skipped,
  unreached,
  cancelled
};
const char* status_name(StepStatus status);
StepStatus parse_step_status(std::string_view name); // throws Error XX000 for another name
bool has_ended(StepStatus status);

struct StepState {
  StepStatus status = StepStatus::pending;
  bool approved = false;
  std::string variant; // empty: none
  std::string output;
  std::string error; // a JSON object with code and message; empty: none
};

// A run as it stands: pure data, from the database and back.
struct RunState {
  const RunDefinition* definition = nullptr;
  JsonValue input;
  std::vector<StepState> steps;
};

// What becomes of the run as far as its steps tell.
struct RunVerdict {
  bool has_ended = false;
  std::string error; // of the step that failed it; empty: it completed
};

// Moves the run as far as it goes without a provider: decides what may begin, does local steps.
// Leaves ready what a worker has to do.
RunVerdict advance(RunState& run);

// The value of a name in a run. A step that has no output gives an empty text.
std::string value_of(const RunState& run, const TextTemplate::Name& name);

// A text of the run with its names replaced; nullopt when it grows above kMostRenderedBytes.
constexpr std::size_t kMostRenderedBytes = 50 * 1024;
std::optional<std::string> render(const RunState& run, const std::string& text);

// The document that a step of action deliver hands over, as JSON: a text of it that is one {{name}}
// alone becomes the value itself. nullopt when it grows above kMostDocumentBytes.
constexpr std::size_t kMostDocumentBytes = 256 * 1024;
std::optional<std::string> render_document(const RunState& run, const RunStep& step);

// What a local step comes to: its output, or an error.
struct LocalResult {
  std::string output;
  std::string error;
};
LocalResult run_local(const RunState& run, const RunStep& step);

// The error of a step, as JSON.
std::string step_error(const std::string& code, const std::string& message);

// The variant that a key draws, the same for ever; empty when the step has none.
std::string draw_variant(const RunDefinition& definition, const RunStep& step,
                         const std::string& key);

} // namespace holdfast
