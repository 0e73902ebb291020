// Runs that are a step of a workflow: when one ends, the workflow moves in the same transaction.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/pg/spi.hpp"
#include "extension/workflow.hpp"

#include <algorithm>

namespace holdfast::run {

namespace {

// The workflow is locked after its run and before any money, by everyone.
constexpr Oid kIdTypes[] = {UUIDOID, UUIDOID};
pg::Statement lock_workflow("SELECT b.step, b.path, b.fence, b.actor, b.correlation_id, w.graph"
                            " FROM holdfast.workflow_step_runs b JOIN holdfast.workflows w"
                            " ON w.organization_id = b.organization_id AND w.id = b.workflow_id"
                            " WHERE b.organization_id = $1 AND b.run_id = $2 AND b.ended_at IS NULL"
                            " FOR NO KEY UPDATE OF w",
                            kIdTypes);

constexpr Oid kEndTypes[] = {UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID};
pg::Statement end_step("UPDATE holdfast.workflow_step_runs SET outcome = $3, ended_at = $4"
                       " WHERE organization_id = $1 AND run_id = $2",
                       kEndTypes);

// Whether jsonb can hold it: it takes no number beyond measure.
bool is_storable(const JsonValue& value) {
  constexpr std::size_t kMostDigits = 1000;
  constexpr std::size_t kMostExponent = 4;
  if (value.is(JsonValue::Kind::number)) {
    const std::size_t exponent = value.text.find_first_of("eE");
    return value.text.size() <= kMostDigits &&
           (exponent == std::string::npos || value.text.size() - exponent - 1 <= kMostExponent);
  }
  return std::all_of(value.items.begin(), value.items.end(), is_storable) &&
         std::all_of(value.members.begin(), value.members.end(),
                     [](const JsonMember& member) { return is_storable(member.value); });
}

// What the last step has answered, as JSON.
std::string result_of(const Run& run) {
  for (auto state = run.state.steps.rbegin(); state != run.state.steps.rend(); ++state) {
    if (state->status != StepStatus::completed) continue;
    const std::optional<JsonValue> json = JsonValue::parse(state->output);
    if (json && is_storable(*json)) return json->str();
    std::string text;
    append_json_string(text, state->output);
    return text;
  }
  return "null";
}

workflow::Move move_of(const Run& run, const WorkflowStep& step) {
  workflow::Move move;
  move.workflow_id = run.subject.workflow_id.value();
  move.organization_id = run.organization_id();
  move.expected = step.path.front();
  move.fence = step.fence;
  move.actor = step.actor;
  move.correlation_id = step.correlation_id;
  return move;
}

void complete(const Run& run, const WorkflowStep& step) {
  workflow::Move move = move_of(run, step);
  std::string patch = "{";
  append_json_string(patch, step.name);
  move.patch = pg::from_jsonb_text(patch + ": " + result_of(run) + "}");
  move.reason = "step " + step.name + " completed";
  for (std::size_t i = 1; i < step.path.size(); ++i) {
    move.next = step.path[i];
    move.fence = workflow::advance(move).fence;
    move.expected = move.next;
    move.patch.reset();
  }
}

// Where the graph has no way to fail from here, the step can be begun again as it is.
void fail(const Run& run, const WorkflowStep& step) {
  workflow::Move move = move_of(run, step);
  const std::string* failed =
      workflow::graph(step.graph)->state(move.expected).following("failure");
  if (failed == nullptr) return;
  move.next = *failed;
  const std::optional<JsonValue> error = JsonValue::parse(run.error);
  const JsonValue* message = error ? error->find("message") : nullptr;
  move.reason = message == nullptr ? "step " + step.name + " failed" : clipped(message->text, 1000);
  if (error) move.result = pg::from_jsonb_text(run.error);
  static_cast<void>(workflow::advance(move));
}

} // namespace

void bind_workflow(Run& run) {
  if (!run.subject.workflow_id) return;
  const pg::Rows rows =
      lock_workflow.run(pg::Parameters().add(run.organization_id()).add(run.run_id));
  if (rows.empty()) return;
  const pg::Row row = rows[0];
  run.workflow_step = WorkflowStep{row.text(1),          pg::to_texts(row.datum(2)), row.bigint(3),
                                   row.optional_text(4), row.optional_text(5),       row.text(6)};
}

void move_workflow(Run& run, TimestampTz now) {
  if (!run.workflow_step) return;
  const WorkflowStep step = *run.workflow_step;
  run.workflow_step.reset();
  const bool completed = run.status == "completed";
  const std::optional<Error> moved_by_another = pg::caught([&] {
    if (completed)
      complete(run, step);
    else
      fail(run, step);
  });
  const char* outcome = completed ? "completed" : "failed";
  if (moved_by_another) outcome = "superseded";
  end_step.run(pg::Parameters()
                   .add(run.organization_id())
                   .add(run.run_id)
                   .text(outcome)
                   .add(TimestampTzGetDatum(now)));
}

} // namespace holdfast::run
