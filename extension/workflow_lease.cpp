// Work is claimed by workers, taken over when a lease runs out, and failed when nobody goes on.
#include "extension/workflow.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::workflow {

namespace {

// The workflow's row is locked before its lease, in the order of a transition. A workflow that has
// moved since the lease was read has another fence, and is left out when its lock is got.
#define HOLDFAST_LEASE_OF_WORKFLOW                                                                 \
  " FROM holdfast.workflow_leases l JOIN holdfast.workflows w ON w.id = l.workflow_id"             \
  " AND w.organization_id = l.organization_id AND w.fence = l.fence"
constexpr Oid kClaimTypes[] = {UUIDOID, TEXTOID, TIMESTAMPTZOID, TEXTARRAYOID, INT4OID};
pg::Statement
    find_work("SELECT l.organization_id, l.workflow_id, l.state, l.work_state, l.fence, l.worker,"
              " l.fails_at IS NOT NULL" HOLDFAST_LEASE_OF_WORKFLOW
              " WHERE l.organization_id = $1 AND l.graph = $2 AND l.due_at <= $3"
              " AND (l.fails_at IS NULL OR l.attempt < l.attempts)"
              " AND ($4 IS NULL OR l.work_state = ANY ($4))"
              " ORDER BY l.due_at LIMIT $5 FOR NO KEY UPDATE OF w SKIP LOCKED",
              kClaimTypes);
constexpr Oid kReapTypes[] = {TIMESTAMPTZOID, INT4OID};
pg::Statement find_abandoned(
    "SELECT l.organization_id, l.workflow_id, l.state, l.work_state, l.fence, l.worker, true,"
    " l.attempt, l.graph" HOLDFAST_LEASE_OF_WORKFLOW " WHERE l.fails_at <= $1"
    " ORDER BY l.fails_at LIMIT $2 FOR NO KEY UPDATE OF w SKIP LOCKED",
    kReapTypes);
#undef HOLDFAST_LEASE_OF_WORKFLOW

// A heartbeat may have come since, or be coming: what it renews is left to its worker.
constexpr Oid kLockTypes[] = {UUIDOID, UUIDOID, INT8OID, TIMESTAMPTZOID};
pg::Statement lock_due("SELECT FROM holdfast.workflow_leases WHERE organization_id = $1"
                       " AND workflow_id = $2 AND fence = $3 AND due_at <= $4"
                       " FOR NO KEY UPDATE SKIP LOCKED",
                       kLockTypes);
pg::Statement lock_abandoned("SELECT FROM holdfast.workflow_leases WHERE organization_id = $1"
                             " AND workflow_id = $2 AND fence = $3 AND fails_at <= $4"
                             " FOR NO KEY UPDATE SKIP LOCKED",
                             kLockTypes);

struct Lease {
  Uuid organization_id;
  Uuid workflow_id;
  std::string state;
  std::string work_state;
  std::int64_t fence = 0;
  std::optional<std::string> worker;
  bool is_taken = false;
  std::int32_t attempt = 0;
  std::string graph;
};

Lease read_lease(const pg::Row& row) {
  return {row.uuid(1),          row.uuid(2),    row.text(3), row.text(4), row.bigint(5),
          row.optional_text(6), row.boolean(7), 0,           {}};
}

bool is_still(pg::Statement& lock, const Lease& lease, TimestampTz now) {
  return !lock.run(pg::Parameters()
                       .add(lease.organization_id)
                       .add(lease.workflow_id)
                       .add_int64(lease.fence)
                       .add(TimestampTzGetDatum(now)))
              .empty();
}

Move move_of(const Lease& lease, const std::string& next) {
  Move move;
  move.workflow_id = lease.workflow_id;
  move.organization_id = lease.organization_id;
  move.expected = lease.state;
  move.next = next;
  move.fence = lease.fence;
  return move;
}

} // namespace

// What a worker asks for.
struct Claim {
  Uuid organization_id;
  std::string worker;
  std::int32_t most = 1;
  std::optional<Datum> states; // text[]
  std::string graph;
  std::optional<std::int64_t> lease_us;
  std::optional<std::string> correlation_id;
};

struct Claimed {
  Uuid workflow_id;
  Moved moved;
};

namespace {

std::vector<Lease> find(const Claim& claim, TimestampTz now) {
  pg::Parameters parameters;
  parameters.add(claim.organization_id).text(claim.graph).add(TimestampTzGetDatum(now));
  if (claim.states)
    parameters.add(*claim.states);
  else
    parameters.null();
  parameters.add_int32(claim.most);
  const pg::Rows rows = find_work.run(parameters);
  std::vector<Lease> leases;
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    leases.push_back(read_lease(rows[i]));
  return leases;
}

std::vector<Claimed> take(const Claim& claim, TimestampTz now) {
  static_cast<void>(
      graph(claim.graph)); // a graph that is not there is a mistake, not an empty queue
  std::vector<Claimed> claimed;
  for (const Lease& lease : find(claim, now)) {
    if (lease.is_taken && !is_still(lock_due, lease, now)) continue;
    Move move = move_of(lease, lease.work_state);
    move.actor = claim.worker;
    move.correlation_id = claim.correlation_id;
    move.lease_us = claim.lease_us;
    move.is_takeover = lease.is_taken;
    move.reason = "claimed";
    if (lease.is_taken) move.reason = "taken over from " + lease.worker.value_or("nobody");
    claimed.push_back({lease.workflow_id, advance(move)});
  }
  return claimed;
}

std::int32_t reap(std::int32_t most, TimestampTz now) {
  const pg::Rows rows =
      find_abandoned.run(pg::Parameters().add(TimestampTzGetDatum(now)).add_int32(most));
  std::vector<Lease> leases;
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    leases.push_back(read_lease(rows[i]));
    leases.back().attempt = rows[i].integer(8);
    leases.back().graph = rows[i].text(9);
  }
  std::int32_t reaped = 0;
  for (const Lease& lease : leases) {
    const auto its_graph = graph(lease.graph);
    const std::string* failed = its_graph->state(lease.state).following("failure");
    if (failed == nullptr || !is_still(lock_abandoned, lease, now)) continue;
    Move move = move_of(lease, *failed);
    move.actor = "reap_workflow_leases";
    move.reason = "the lease of " + lease.worker.value_or("nobody") + " ran out at attempt " +
                  std::to_string(lease.attempt);
    static_cast<void>(advance(move));
    ++reaped;
  }
  return reaped;
}

} // namespace

} // namespace holdfast::workflow

using namespace holdfast;

namespace {

std::int32_t count_between(const pg::Arguments& arguments, int i, std::int32_t most) {
  const std::int32_t count = arguments.integer(i, "p_most");
  if (count >= 1 && count <= most) return count;
  throw bad_value("p_most is " + std::to_string(count) + ", outside 1 to " + std::to_string(most) +
                  ".")
      .detail(JsonObject().text("field", "p_most").number("value", count).str());
}

std::int64_t lease_length(Datum ttl) {
  const Interval* length = DatumGetIntervalP(ttl);
  const std::int64_t us = length->day * USECS_PER_DAY + length->time;
  if (length->month == 0 && us >= USECS_PER_SEC && us <= USECS_PER_DAY) return us;
  throw bad_value("p_ttl is outside 1 second to 24 hours.")
      .detail(JsonObject().text("field", "p_ttl").str())
      .hint("A lease is renewed with holdfast.heartbeat() as long as the work goes on.");
}

workflow::Claim read_claim(const pg::Arguments& arguments) {
  workflow::Claim claim;
  claim.organization_id = arguments.uuid(0, "p_organization_id");
  claim.worker = arguments.text(1, "p_worker");
  claim.most = count_between(arguments, 2, 100);
  if (!arguments.is_null(3)) claim.states = arguments.required(3, "p_states");
  claim.graph = arguments.text(4, "p_graph");
  if (!arguments.is_null(5)) claim.lease_us = lease_length(arguments.required(5, "p_ttl"));
  claim.correlation_id = arguments.optional_text(6, "p_correlation_id");
  return claim;
}

std::vector<Datum> claimed_rows(FunctionCallInfo fcinfo) {
  const TimestampTz now = GetCurrentTimestamp();
  const workflow::Claim claim = read_claim(pg::Arguments(fcinfo));
  organization::require(claim.organization_id);
  std::vector<workflow::Claimed> claimed;
  {
    pg::Spi spi;
    claimed = workflow::take(claim, now);
  }
  std::vector<Datum> rows;
  for (const workflow::Claimed& one : claimed) {
    pg::ResultRow row;
    row.add(one.workflow_id).text(one.moved.state->name);
    if (one.moved.state->step)
      row.add_int32(*one.moved.state->step);
    else
      row.null();
    row.add(Int64GetDatum(one.moved.fence))
        .add_int32(one.moved.attempt)
        .add_time(one.moved.expires_at);
    rows.push_back(row.finish(fcinfo));
  }
  return rows;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_claim_workflow_step) {
  return pg::return_rows(fcinfo, claimed_rows);
}

HOLDFAST_FUNCTION(holdfast_reap_workflow_leases) {
  const std::int32_t most = count_between(pg::Arguments(fcinfo), 0, 10'000);
  pg::Spi spi;
  return Int32GetDatum(workflow::reap(most, GetCurrentTimestamp()));
}
