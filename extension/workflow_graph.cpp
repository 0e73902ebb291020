// Graphs as this server process knows them, and what may not become of one that is in use.
#include "extension/workflow_graph.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"
#include "extension/pg/trigger.hpp"
#include "extension/workflow.hpp"

#include <set>

namespace holdfast::workflow {

namespace {

constexpr std::size_t kMostKept = 1000; // then they are forgotten, and read again
std::map<std::string, std::shared_ptr<const Graph>> kept;
Oid states_table = InvalidOid;
Oid transitions_table = InvalidOid;
bool stale = false;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == states_table || relation == transitions_table || relation == InvalidOid)
    stale = true;
}

constexpr Oid kNameTypes[] = {TEXTOID};
pg::Statement find_tables("SELECT 'holdfast.workflow_states'::regclass::oid,"
                          " 'holdfast.workflow_transitions'::regclass::oid");
pg::Statement
    find_states("SELECT s.state, s.step, s.status, s.is_initial, s.is_terminal, s.attempts,"
                " (EXTRACT(epoch FROM s.lease_ttl) * 1000000)::bigint"
                " FROM holdfast.workflow_states s WHERE s.graph = $1",
                kNameTypes);
pg::Statement find_transitions("SELECT t.from_state, t.to_state, t.kind"
                               " FROM holdfast.workflow_transitions t WHERE t.graph = $1",
                               kNameTypes);
pg::Statement find_fault("SELECT FROM holdfast.validate_workflow_graph($1) LIMIT 1", kNameTypes);

void read_states(Graph& graph) {
  const pg::Rows rows = find_states.run(pg::Parameters().text(graph.name));
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    State state;
    state.name = row.text(1);
    if (!row.is_null(2)) state.step = row.integer(2);
    state.status = row.text(3);
    if (row.boolean(4)) graph.initial = state.name;
    state.is_terminal = row.boolean(5);
    state.attempts = row.integer(6);
    if (!row.is_null(7)) state.lease_us = row.bigint(7);
    graph.states.emplace(state.name, state);
  }
}

void read_transitions(Graph& graph) {
  const pg::Rows rows = find_transitions.run(pg::Parameters().text(graph.name));
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const auto from = graph.states.find(rows[i].text(1));
    if (from != graph.states.end() && graph.states.count(rows[i].text(2)) != 0)
      from->second.next.emplace(rows[i].text(2), rows[i].text(3));
  }
}

Error unknown_graph(const std::string& name) {
  return invalid("There is no graph \"" + name + "\".")
      .detail(JsonObject().text("graph", name).str())
      .hint("The built-in graph is \"intent\"; others are made in holdfast.workflow_states.");
}

// What one transaction has done with graphs.
struct Doings {
  std::uint64_t transaction = 0;
  std::map<std::string, bool> looked; // at changes since the last: whether at inserts alone
  std::set<std::string> begun;        // graphs on which it made workflows
};
Doings doings;

Doings& doings_of_this_transaction() {
  const std::uint64_t transaction = pg::transaction_number();
  if (doings.transaction != transaction) doings = {transaction, {}, {}};
  return doings;
}

constexpr Oid kCheckTypes[] = {TEXTOID, BOOLOID};
pg::Statement check_in_use("SELECT holdfast.check_graph_in_use($1, $2)", kCheckTypes);

void must_hold(const std::string& name, bool was_inserted) {
  Doings& ours = doings_of_this_transaction();
  const bool is_insert = was_inserted && ours.begun.count(name) == 0;
  const auto found = ours.looked.find(name);
  if (found != ours.looked.end() && (is_insert || !found->second)) return;
  check_in_use.run(pg::Parameters().text(name).add_bool(is_insert));
  ours.looked[name] = is_insert;
}

} // namespace

const std::string* State::following(std::string_view kind) const {
  for (const auto& [target, its_kind] : next) {
    if (its_kind == kind) return &target;
  }
  return nullptr;
}

const State& Graph::state(const std::string& state_name) const {
  const auto found = states.find(state_name);
  if (found != states.end()) return found->second;
  throw invalid("Graph \"" + name + "\" has no state \"" + state_name + "\".")
      .detail(JsonObject().text("graph", name).text("state", state_name).str())
      .hint("holdfast.workflow_states lists its states.");
}

void start_graphs() {
  pg::on_relation_change(on_relation_change);
}

std::shared_ptr<const Graph> graph(const std::string& name) {
  if (stale || kept.size() > kMostKept) kept.clear();
  stale = false;
  const auto known = kept.find(name);
  if (known != kept.end()) return known->second;
  const pg::Row tables = find_tables.run()[0];
  states_table = DatumGetObjectId(tables.datum(1));
  transitions_table = DatumGetObjectId(tables.datum(2));
  auto loaded = std::make_shared<Graph>();
  loaded->name = name;
  read_states(*loaded);
  if (loaded->states.empty()) throw unknown_graph(name);
  read_transitions(*loaded);
  loaded->is_valid = find_fault.run(pg::Parameters().text(name)).empty();
  if (!stale) kept.emplace(name, loaded);
  return loaded;
}

} // namespace holdfast::workflow

using namespace holdfast;

namespace {

const workflow::State& state_of(const std::shared_ptr<const workflow::Graph>& graph,
                                const pg::Arguments& arguments) {
  return graph->state(arguments.text(0, "p_state"));
}

std::shared_ptr<const workflow::Graph> named_graph(const pg::Arguments& arguments, int i) {
  const std::string name = arguments.text(i, "p_graph");
  pg::Spi spi;
  return workflow::graph(name);
}

} // namespace

HOLDFAST_FUNCTION(holdfast_get_step_from_state) {
  const pg::Arguments arguments(fcinfo);
  const auto graph = named_graph(arguments, 1);
  const workflow::State& state = state_of(graph, arguments);
  if (state.step) return Int32GetDatum(*state.step);
  fcinfo->isnull = true;
  return Datum{0};
}

HOLDFAST_FUNCTION(holdfast_get_status_from_state) {
  const pg::Arguments arguments(fcinfo);
  const auto graph = named_graph(arguments, 1);
  return pg::from_text(state_of(graph, arguments).status);
}

HOLDFAST_FUNCTION(holdfast_can_access_step) {
  const pg::Arguments arguments(fcinfo);
  const std::int32_t step = arguments.integer(1, "p_step");
  const auto graph = named_graph(arguments, 2);
  const workflow::State& state = state_of(graph, arguments);
  return BoolGetDatum(state.step && step >= 1 && step <= *state.step);
}

HOLDFAST_FUNCTION(holdfast_initial_workflow_state) {
  const std::string name = pg::Arguments(fcinfo).text(0, "p_graph");
  std::string initial;
  {
    pg::Spi spi;
    workflow::lock_workflows();
    const auto graph = workflow::graph(name);
    if (!graph->is_valid)
      throw invalid("Graph \"" + name + "\" is not valid.")
          .detail(JsonObject().text("graph", name).str())
          .hint("holdfast.validate_workflow_graph('" + name + "') names its faults.");
    initial = graph->initial;
    workflow::doings_of_this_transaction().begun.insert(name);
  }
  return pg::from_text(initial);
}

// Fires after any statement that wrote states or transitions: every server process reads them anew.
HOLDFAST_FUNCTION(holdfast_graph_changed) {
  pg::invalidate_trigger_table(fcinfo);
  workflow::doings.looked.clear();
  return PointerGetDatum(nullptr);
}

HOLDFAST_FUNCTION(holdfast_graph_must_hold) {
  const pg::RowChange change = pg::row_change(fcinfo, "graph");
  pg::Spi spi;
  for (const std::string& name : change.values)
    workflow::must_hold(name, change.is_insert);
  return PointerGetDatum(nullptr);
}
