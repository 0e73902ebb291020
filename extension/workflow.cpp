// Transitions: of all that contend for one, exactly one is made, with its row of history.
#include "extension/workflow.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/events.hpp"
#include "extension/organization.hpp"
#include "extension/pg/append_row.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/jsonb.hpp"
#include "extension/pg/keyed_row.hpp"

namespace holdfast::workflow {

namespace {

pg::KeyedTable workflows("holdfast", "workflows", "workflows_pkey");

// Columns of workflows, as they were declared.
enum Column : int { kGraph = 3, kState = 4, kData = 5, kUpdatedAt = 7, kFence = 8 };

constexpr const char* kHistoryColumns[] = {
    "organization_id", "workflow_id",    "seq",        "from_state", "to_state", "actor",
    "reason",          "correlation_id", "created_at", "result"};
pg::AppendTable history("holdfast", "workflow_history", kHistoryColumns);

// For a history to which a user has added triggers or columns.
constexpr Oid kHistoryTypes[] = {UUIDOID, UUIDOID, INT8OID, TEXTOID,        TEXTOID,
                                 TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID};
pg::Statement insert_history(
    "INSERT INTO holdfast.workflow_history (organization_id, workflow_id, seq, from_state,"
    " to_state, actor, reason, correlation_id, created_at, result)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    kHistoryTypes);

// A lease that was not given up at this state counts on; at any other it begins anew.
constexpr Oid kLeaseTypes[] = {UUIDOID, UUIDOID, TEXTOID, TEXTOID,        TEXTOID, INT8OID,
                               INT4OID, TEXTOID, INT8OID, TIMESTAMPTZOID, BOOLOID};
pg::Statement write_lease(
    "INSERT INTO holdfast.workflow_leases AS l (organization_id, workflow_id, graph, state,"
    " work_state, fence, attempt, attempts, worker, ttl, due_at, fails_at)"
    " SELECT $1, $2, $3, $4, $5, $6, CASE WHEN $11 THEN 1 ELSE 0 END, $7, $8, v.ttl,"
    "   CASE WHEN $11 THEN $10 + v.ttl ELSE $10 END,"
    "   CASE WHEN $11 THEN $10 + v.ttl * CASE WHEN $7 > 1 THEN 2 ELSE 1 END END"
    " FROM (VALUES ($9 * interval '1 microsecond')) v(ttl)"
    " ON CONFLICT (organization_id, workflow_id) DO UPDATE SET graph = excluded.graph,"
    "   state = excluded.state, work_state = excluded.work_state, fence = excluded.fence,"
    "   attempt = CASE WHEN l.state = excluded.state THEN l.attempt + 1 ELSE excluded.attempt END,"
    "   attempts = excluded.attempts, worker = excluded.worker, ttl = excluded.ttl,"
    "   due_at = excluded.due_at, fails_at = CASE WHEN l.state = excluded.state"
    "     AND l.attempt + 1 >= excluded.attempts THEN excluded.due_at ELSE excluded.fails_at END"
    " RETURNING attempt, due_at",
    kLeaseTypes);

constexpr Oid kIdTypes[] = {UUIDOID, UUIDOID};
pg::Statement delete_lease(
    "DELETE FROM holdfast.workflow_leases WHERE organization_id = $1 AND workflow_id = $2",
    kIdTypes);

// What stands in the workflow's row before the transition.
struct Current {
  std::string graph;
  std::string state;
  std::int64_t fence = 0;
};

Current read_current(const pg::Row& row) {
  return {row.text(kGraph), row.text(kState), row.bigint(kFence)};
}

JsonObject three_states(const Move& move, const Current& current) {
  return JsonObject()
      .text("currentState", current.state)
      .text("expectedState", move.expected)
      .text("attemptedState", move.next);
}

std::string listed(const State& from) {
  std::string names;
  for (const auto& [target, kind] : from.next)
    names += (names.empty() ? "" : ", ") + target;
  return names;
}

void check_fence(const Move& move, const Current& current) {
  if (!move.fence || *move.fence == current.fence) return;
  throw conflict("The workflow's fence is " + std::to_string(current.fence) + ", not " +
                 std::to_string(*move.fence) + ": it was moved, or another worker has it.")
      .detail(three_states(move, current)
                  .number("currentFence", current.fence)
                  .number("expectedFence", *move.fence)
                  .str())
      .hint("Drop this work: it is another's now.");
}

// Whether the move is legal from here; throws Error PT409 with the three states.
void check_legal(const Move& move, const Current& current, const Graph& graph) {
  if (current.state != move.expected)
    throw conflict("The workflow is in state " + current.state + ", not " + move.expected + ".")
        .detail(three_states(move, current).str())
        .hint("Another has moved it: read its state again.");
  check_fence(move, current);
  const State& from = graph.state(current.state);
  if (move.is_takeover || from.next.count(move.next) != 0) return;
  const std::string followers = listed(from);
  throw conflict("No transition leads from " + current.state + " to " + move.next + ".")
      .detail(three_states(move, current).str())
      .hint(followers.empty()
                ? current.state + " is terminal: the workflow does not change again."
                : "From " + current.state + " a workflow goes to: " + followers + ".");
}

// The document with the patch merged in. The total is a settlement's, not the caller's to set.
Datum patched(Datum document, Datum patch) {
  return pg::call([=] {
    const Datum merged = DirectFunctionCall2(jsonb_concat, document, patch);
    return DirectFunctionCall2(jsonb_delete, merged,
                               PointerGetDatum(cstring_to_text("total_ai_cost")));
  });
}

// Writes the row; false when another session has changed it since it was read.
bool write_row(pg::KeyedRow& row, const Move& move, std::int64_t fence, TimestampTz now) {
  const std::array<int, 4> columns = {kState, kFence, kUpdatedAt, kData};
  std::array<Datum, 4> values = {pg::from_text(move.next), Int64GetDatum(fence),
                                 TimestampTzGetDatum(now), Datum{0}};
  if (move.patch) values[3] = patched(row.row().datum(kData), *move.patch);
  return row.update(columns.data(), values.data(), move.patch ? 4 : 3);
}

void append_history(const Move& move, std::int64_t seq, TimestampTz now) {
  pg::Parameters parameters;
  parameters.add(move.organization_id)
      .add(move.workflow_id)
      .add_int64(seq)
      .text(move.expected)
      .text(move.next)
      .text(move.actor)
      .text(move.reason)
      .text(move.correlation_id)
      .add(TimestampTzGetDatum(now));
  if (move.result)
    parameters.add(*move.result);
  else
    parameters.null();
  pg::AppendedRows rows(history);
  if (rows.suffices())
    rows.add(parameters); // a fork is refused here, by the key
  else
    insert_history.run(parameters);
  if (!events::is_wanted(events::Kind::transition)) return;
  events::send(events::Kind::transition, move.organization_id,
               JsonObject()
                   .text("workflowId", move.workflow_id.str())
                   .number("seq", static_cast<long long>(seq))
                   .text("from", move.expected)
                   .text("to", move.next));
}

// The state in which a worker does what waits in this one, or this one where it is work itself.
const State* work_at(const Graph& graph, const State& state) {
  if (state.lease_us) return &state;
  const std::string* target = state.following("claim");
  return target == nullptr ? nullptr : &graph.state(*target);
}

void move_lease(const Move& move, TimestampTz now, Moved& moved) {
  const Graph& graph = *moved.graph;
  const State* work = work_at(graph, *moved.state);
  if (work == nullptr) {
    if (work_at(graph, graph.state(move.expected)) != nullptr)
      delete_lease.run(pg::Parameters().add(move.organization_id).add(move.workflow_id));
    return;
  }
  const bool is_taken = moved.state->lease_us.has_value();
  pg::Parameters parameters;
  parameters.add(move.organization_id)
      .add(move.workflow_id)
      .text(graph.name)
      .text(moved.state->name)
      .text(work->name)
      .add_int64(moved.fence)
      .add_int32(work->attempts)
      .text(is_taken ? move.actor : std::nullopt)
      .add_int64(move.lease_us.value_or(work->lease_us.value()))
      .add(TimestampTzGetDatum(now))
      .add_bool(is_taken);
  const pg::Row row = write_lease.run(parameters)[0];
  if (!is_taken) return;
  moved.attempt = row.integer(1);
  moved.expires_at = DatumGetTimestampTz(row.datum(2));
}

Error no_such_workflow(const Move& move) {
  return not_found("The organization has no workflow " + move.workflow_id.str() + ".")
      .detail(JsonObject().text("workflowId", move.workflow_id.str()).str())
      .hint("Make one with holdfast.create_workflow().");
}

} // namespace

void start() {
  workflows.watch();
  history.watch();
  start_graphs();
}

void lock_workflows() {
  const pg::KeyedRow row(workflows, RowExclusiveLock);
}

// The lock on the table is taken first: whoever changes a graph waits for it, so that the graph
// which is read after it is the one that holds until we commit.
Moved advance(const Move& move) {
  const std::array<Datum, 2> key = {pg::from_uuid(move.workflow_id),
                                    pg::from_uuid(move.organization_id)};
  Moved moved;
  TimestampTz now = 0;
  {
    pg::KeyedRow row(workflows, RowExclusiveLock);
    do {
      if (!row.fetch(key.data(), 2)) throw no_such_workflow(move);
      const Current current = read_current(row.row());
      moved.graph = graph(current.graph);
      check_legal(move, current, *moved.graph);
      moved.fence = current.fence + 1;
      now = GetCurrentTimestamp();
    } while (!write_row(row, move, moved.fence, now));
  }
  moved.state = &moved.graph->state(move.next);
  append_history(move, moved.fence, now);
  move_lease(move, now, moved);
  return moved;
}

} // namespace holdfast::workflow

using namespace holdfast;

namespace {

constexpr std::size_t kMostReasonBytes = 4096;

std::optional<std::string> optional_reason(const pg::Arguments& arguments, int i) {
  if (arguments.is_null(i)) return std::nullopt;
  std::string reason = pg::to_text(arguments.required(i, "p_reason"));
  if (reason.size() <= kMostReasonBytes) return reason;
  throw bad_value("p_reason has " + std::to_string(reason.size()) + " bytes, more than " +
                  std::to_string(kMostReasonBytes) + ".")
      .detail(JsonObject().text("field", "p_reason").str());
}

workflow::Move read_move(const pg::Arguments& arguments) {
  workflow::Move move;
  move.workflow_id = arguments.uuid(0, "p_workflow_id");
  move.organization_id = arguments.uuid(1, "p_organization_id");
  move.expected = arguments.text(2, "p_expected_state");
  move.next = arguments.text(3, "p_next_state");
  move.actor = arguments.optional_text(4, "p_actor");
  move.reason = optional_reason(arguments, 5);
  if (!arguments.is_null(6)) {
    move.patch = arguments.required(6, "p_data_patch");
    pg::require_object(*move.patch, "p_data_patch");
  }
  if (!arguments.is_null(7)) move.fence = DatumGetInt64(arguments.required(7, "p_fence"));
  if (!arguments.is_null(8)) move.result = arguments.required(8, "p_result");
  move.correlation_id = arguments.optional_text(9, "p_correlation_id");
  return move;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_advance_workflow) {
  const workflow::Move move = read_move(pg::Arguments(fcinfo));
  organization::require(move.organization_id);
  workflow::Moved moved;
  {
    pg::Spi spi;
    moved = workflow::advance(move);
  }
  pg::ResultRow row;
  row.text(moved.state->name);
  if (moved.state->step)
    row.add_int32(*moved.state->step);
  else
    row.null();
  return row.text(moved.state->status).add(Int64GetDatum(moved.fence)).finish(fcinfo);
}
