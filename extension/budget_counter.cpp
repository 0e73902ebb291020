// The running counters: reserving under limits, and moving what limits cannot refuse.
#include "extension/budget.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/core/period.hpp"
#include "extension/pg/spi.hpp"

#include <map>
#include <tuple>

namespace holdfast::budget {

namespace {

// The order in which counters are locked; the shared organization row is the last.
struct Scope {
  std::string_view name;
  int rank;
};
constexpr Scope kScopes[] = {{"workflow", 0}, {"organization", 9}};
constexpr int kWorkflowRank = 0;
constexpr int kOrganizationRank = 9;

std::string_view scope_of(int rank) {
  for (const Scope& known : kScopes) {
    if (known.rank == rank) return known.name;
  }
  throw Error("XX000", "a counter has the unknown rank " + std::to_string(rank));
}

pg::Parameters key_parameters(const CounterKey& key) {
  return pg::Parameters().add(key.budget_id).add(key.organization_id).date(key.period_start);
}

constexpr Oid kReserveTypes[] = {UUIDOID, UUIDOID, DATEOID, NUMERICOID, NUMERICOID};
pg::Statement
    reserve_below_limit("UPDATE holdfast.budget_counters SET held = held + $4"
                        " WHERE budget_id = $1 AND organization_id = $2 AND period_start = $3"
                        " AND (limit_usd IS NULL OR spent + held + $4 <= limit_usd)"
                        " AND ($5 IS NULL OR spent + held + $4 <= $5)"
                        " RETURNING least(limit_usd, $5), spent, held",
                        kReserveTypes);

constexpr Oid kKeyTypes[] = {UUIDOID, UUIDOID, DATEOID};
pg::Statement lock_counter("SELECT limit_usd, spent, held FROM holdfast.budget_counters"
                           " WHERE budget_id = $1 AND organization_id = $2 AND period_start = $3"
                           " FOR NO KEY UPDATE",
                           kKeyTypes);

constexpr Oid kAddHeldTypes[] = {UUIDOID, UUIDOID, DATEOID, NUMERICOID};
pg::Statement add_held("UPDATE holdfast.budget_counters SET held = held + $4"
                       " WHERE budget_id = $1 AND organization_id = $2 AND period_start = $3",
                       kAddHeldTypes);

constexpr Oid kRunOutTypes[] = {UUIDOID, UUIDOID, DATEOID, TIMESTAMPTZOID};
pg::Statement sum_run_out(
    "SELECT coalesce(sum(h.amount), 0) FROM holdfast.holds h"
    " WHERE h.organization_id = $2 AND h.status = 'open' AND h.expires_at <= $4"
    " AND EXISTS (SELECT FROM unnest(h.budget_ids, h.period_starts) AS c(budget_id, period_start)"
    "             WHERE c.budget_id = $1 AND c.period_start = $3)",
    kRunOutTypes);

// The limit is read under a lock: a limit that is being changed reaches the new period too.
constexpr Oid kMakeCounterTypes[] = {UUIDOID, UUIDOID, DATEOID, TEXTOID};
pg::Statement make_counter(
    "WITH b AS (SELECT limit_usd FROM holdfast.budgets"
    "           WHERE organization_id = $2 AND budget_id = $1 FOR SHARE)"
    " INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope,"
    " limit_usd) VALUES ($1, $2, $3, $4, (SELECT limit_usd FROM b)) ON CONFLICT DO NOTHING",
    kMakeCounterTypes);

constexpr Oid kOrganizationTypes[] = {UUIDOID};
pg::Statement make_organization_budget(
    "INSERT INTO holdfast.budgets (organization_id, budget_id, scope, period)"
    " VALUES ($1, $1, 'organization', 'month') ON CONFLICT DO NOTHING",
    kOrganizationTypes);

constexpr Oid kWhoseWorkflowTypes[] = {UUIDOID};
pg::Statement whose_workflow("SELECT organization_id FROM holdfast.budget_counters"
                             " WHERE budget_id = $1 AND scope = 'workflow'",
                             kWhoseWorkflowTypes);

constexpr Oid kMoveTypes[] = {UUIDOID, UUIDOID, DATEOID, NUMERICOID, NUMERICOID, NUMERICOID};
pg::Statement move_counter(
    "UPDATE holdfast.budget_counters SET spent = spent + $4, held = held - $5,"
    " overrun = overrun + least($6, greatest(0, spent + $4 + held - $5 - limit_usd))"
    " WHERE budget_id = $1 AND organization_id = $2 AND period_start = $3"
    " RETURNING limit_usd, spent, held, least($6, greatest(0, spent + held - limit_usd))",
    kMoveTypes);

[[noreturn]] void throw_no_workflow(const Uuid& workflow_id) {
  const std::string id = workflow_id.str();
  const std::string detail = JsonObject().text("workflowId", id).str();
  if (whose_workflow.run(pg::Parameters().add(workflow_id)).empty())
    throw not_found("There is no workflow " + id + ".")
        .detail(detail)
        .hint("Make one with holdfast.create_workflow().");
  throw forbidden("Workflow " + id + " belongs to another organization.").detail(detail);
}

// Makes the counter of a period that begins. A workflow's counter is made with the workflow.
void make(const CounterKey& key) {
  if (key.rank == kWorkflowRank) throw_no_workflow(key.budget_id);
  if (key.budget_id == key.organization_id)
    make_organization_budget.run(pg::Parameters().add(key.organization_id));
  make_counter.run(key_parameters(key).text(scope_of(key.rank)));
}

std::optional<Usd> lesser(std::optional<Usd> a, std::optional<Usd> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// Decides under the counter's lock, in a statement that sees everything committed before it: what
// has run out and is not swept yet reserves nothing.
Reservation reserve_locked(const CounterKey& key, Usd amount, std::optional<Usd> extra_limit,
                           TimestampTz now) {
  const pg::Rows rows = lock_counter.run(key_parameters(key));
  if (rows.empty()) throw Error("XX000", "a budget counter vanished while it was in use");
  const Usd held = rows[0].usd(3);
  const Usd run_out = sum_run_out.run(key_parameters(key).add(TimestampTzGetDatum(now)))[0].usd(1);
  Figures figures{std::string(scope_of(key.rank)), lesser(rows[0].optional_usd(1), extra_limit),
                  rows[0].usd(2), held - run_out};
  if (figures.limit && figures.spent + figures.held + amount > *figures.limit)
    return {false, figures};
  add_held.run(key_parameters(key).add(amount));
  figures.held += amount;
  return {true, figures};
}

Reservation reserve_one(const CounterKey& key, Usd amount, std::optional<Usd> extra_limit,
                        TimestampTz now) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const pg::Rows rows = reserve_below_limit.run(key_parameters(key).add(amount).add(extra_limit));
    if (!rows.empty()) {
      const pg::Row row = rows[0];
      return {true, {std::string(scope_of(key.rank)), row.optional_usd(1), row.usd(2), row.usd(3)}};
    }
    if (!lock_counter.run(key_parameters(key)).empty())
      return reserve_locked(key, amount, extra_limit, now);
    make(key);
  }
  throw Error("XX000", "a budget counter could not be made");
}

bool is_tighter(const Figures& a, const Figures& b) {
  const std::optional<Usd> left_a = a.remaining();
  const std::optional<Usd> left_b = b.remaining();
  return left_a && (!left_b || *left_a < *left_b);
}

std::vector<Move> summed(std::vector<Move> moves) {
  std::map<CounterKey, Move> by_key;
  for (const Move& move : moves) {
    Move& sum = by_key.try_emplace(move.key, Move{move.key, {}, {}, {}}).first->second;
    sum.spent += move.spent;
    sum.released += move.released;
    sum.uncovered += move.uncovered;
  }
  std::vector<Move> sums;
  for (const auto& [key, sum] : by_key)
    sums.push_back(sum);
  return sums;
}

} // namespace

bool operator<(const CounterKey& a, const CounterKey& b) {
  return std::tie(a.rank, a.budget_id, a.organization_id, a.period_start) <
         std::tie(b.rank, b.budget_id, b.organization_id, b.period_start);
}

std::optional<Usd> Figures::remaining() const {
  if (!limit) return std::nullopt;
  return *limit - spent - held;
}

std::vector<CounterKey> counters_of(const Subject& subject, TimestampTz now) {
  std::vector<CounterKey> keys;
  if (subject.workflow_id)
    keys.push_back({kWorkflowRank, *subject.workflow_id, subject.organization_id, kNoPeriodStart});
  keys.push_back({kOrganizationRank, subject.organization_id, subject.organization_id,
                  period_start(Period::month, pg::utc_day(now))});
  return keys;
}

CounterKey stored_counter(const Uuid& organization_id, const Uuid& budget_id,
                          std::int32_t period_start) {
  const bool of_organization = budget_id == organization_id;
  return {of_organization ? kOrganizationRank : kWorkflowRank, budget_id, organization_id,
          period_start};
}

Reservation reserve(const std::vector<CounterKey>& keys, Usd amount,
                    std::optional<Usd> workflow_limit, TimestampTz now) {
  Reservation tightest;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::optional<Usd> extra =
        keys[i].rank == kWorkflowRank ? workflow_limit : std::optional<Usd>();
    const Reservation reservation = reserve_one(keys[i], amount, extra, now);
    if (!reservation.granted) { // all or none; the locks of the others are already ours
      for (std::size_t done = 0; done < i; ++done)
        add_held.run(key_parameters(keys[done]).add(-amount));
      return reservation;
    }
    if (i == 0 || is_tighter(reservation.figures, tightest.figures)) tightest = reservation;
  }
  return tightest;
}

std::vector<Moved> apply(std::vector<Move> moves) {
  std::vector<Moved> results;
  for (const Move& move : summed(std::move(moves))) {
    pg::Parameters parameters =
        key_parameters(move.key).add(move.spent).add(move.released).add(move.uncovered);
    pg::Rows rows = move_counter.run(parameters);
    if (rows.empty()) {
      make(move.key);
      rows = move_counter.run(parameters);
    }
    if (rows.empty()) throw Error("XX000", "a budget counter could not be made");
    const pg::Row row = rows[0];
    results.push_back(
        {move.key,
         {std::string(scope_of(move.key.rank)), row.optional_usd(1), row.usd(2), row.usd(3)},
         row.usd(4)});
  }
  return results;
}

std::optional<Usd> least_remaining(const std::vector<Moved>& moved) {
  std::optional<Usd> least;
  for (const Moved& move : moved) {
    const std::optional<Usd> left = move.figures.remaining();
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

} // namespace holdfast::budget
