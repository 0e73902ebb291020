// The running counters: reserving under limits, and moving what limits cannot refuse.
#include "extension/budget_counter.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/spi.hpp"

#include <algorithm>
#include <map>

namespace holdfast::budget {

namespace {

constexpr Oid kRunOutTypes[] = {UUIDOID, UUIDOID, DATEOID, TIMESTAMPTZOID};
pg::Statement sum_run_out(
    "SELECT coalesce(sum(h.amount), 0) FROM holdfast.holds h"
    " WHERE h.organization_id = $2 AND h.status = 'open' AND h.expires_at <= $4"
    " AND EXISTS (SELECT FROM unnest(h.budget_ids, h.period_starts) AS c(budget_id, period_start)"
    "             WHERE c.budget_id = $1 AND c.period_start = $3)",
    kRunOutTypes);

constexpr Oid kMakeTypes[] = {UUIDOID, UUIDOID, DATEOID, TEXTOID, INT2OID};
pg::Statement make_rows(
    "INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, slot,"
    " limit_usd) SELECT $1, $2, $3, $4, s.slot, CASE WHEN s.slot = 0"
    "   THEN b.limit_usd - coalesce($5 * trunc(b.limit_usd / nullif($5, 0), 18), 0)"
    "   ELSE trunc(b.limit_usd / $5, 18) END"
    " FROM generate_series(0, $5) AS s(slot)"
    " LEFT JOIN holdfast.budgets b ON b.organization_id = $2 AND b.budget_id = $1"
    " ON CONFLICT DO NOTHING",
    kMakeTypes);

constexpr Oid kWhoseWorkflowTypes[] = {UUIDOID};
pg::Statement whose_workflow("SELECT organization_id FROM holdfast.budget_counters"
                             " WHERE budget_id = $1 AND scope = 'workflow'",
                             kWhoseWorkflowTypes);

[[noreturn]] void throw_no_workflow(const Uuid& workflow_id) {
  const std::string id = workflow_id.str();
  const std::string detail = JsonObject().text("workflowId", id).str();
  if (whose_workflow.run(pg::Parameters().add(workflow_id)).empty())
    throw not_found("There is no workflow " + id + ".")
        .detail(detail)
        .hint("Make one with holdfast.create_workflow().");
  throw forbidden("Workflow " + id + " belongs to another organization.").detail(detail);
}

bool is_workflow(const Applicable& counter) {
  return counter.scope == "workflow" && counter.key.period_start == INT32_MIN;
}

std::optional<Usd> lesser(std::optional<Usd> a, std::optional<Usd> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

Reservation reserve_plain(const Applicable& counter, Usd amount, std::optional<Usd> extra_limit,
                          TimestampTz now) {
  Figures figures{std::string(counter.scope), {}, {}, {}};
  int looks = 0;
  const auto hold = [&](CounterRow& row) {
    figures.limit = lesser(row.limit, extra_limit);
    figures.spent = row.spent;
    figures.held = row.held;
    // Asked again, under the lock: what has run out and is not swept yet reserves nothing.
    if (looks++ > 0) figures.held -= run_out_on(counter.key, now);
    if (figures.limit && figures.spent + figures.held + amount > *figures.limit) return false;
    row.held += amount;
    figures.held += amount;
    return true;
  };
  for (int attempt = 0; attempt < 2; ++attempt) {
    looks = 0;
    const Changed changed = change_row(counter.key, 0, Refusal::locked, hold);
    if (changed != Changed::missing) return {changed == Changed::yes, figures};
    make_counter(counter);
  }
  throw Error("XX000", "a budget counter could not be made");
}

bool is_tighter(const Figures& a, const Figures& b) {
  const std::optional<Usd> left_a = a.remaining();
  const std::optional<Usd> left_b = b.remaining();
  return left_a && (!left_b || *left_a < *left_b);
}

// A caller's mistake comes before any budget's refusal. (With the workflow's own counter and the
// shared one alone, the workflow's is the first to be asked.)
void check_workflow(const std::vector<Applicable>& counters) {
  for (const Applicable& counter : counters) {
    if (!is_workflow(counter)) continue;
    const auto found = find_workflow_counter(counter.key.budget_id);
    if (!found || found->organization_id != counter.key.organization_id)
      throw_no_workflow(counter.key.budget_id);
  }
}

using Sums = std::map<std::pair<CounterKey, std::int16_t>, Move>;

Sums summed(const std::vector<Move>& moves) {
  Sums sums;
  for (const Move& move : moves) {
    const auto [at, is_new] = sums.try_emplace({move.counter.key, move.slot}, move);
    if (is_new) continue;
    at->second.spent += move.spent;
    at->second.released += move.released;
    at->second.uncovered += move.uncovered;
    if (at->second.counter.scope.empty()) at->second.counter.scope = move.counter.scope;
  }
  return sums;
}

} // namespace

void make_counter(const Applicable& counter) {
  if (is_workflow(counter)) throw_no_workflow(counter.key.budget_id);
  if (counter.scope.empty()) throw Error("XX000", "a hold names a counter that does not exist");
  make_rows.run(pg::Parameters()
                    .add(counter.key.budget_id)
                    .add(counter.key.organization_id)
                    .date(counter.key.period_start)
                    .text(counter.scope)
                    .add_int16(counter.key.is_shared() ? kSlots : std::int16_t{0}));
}

void add_overrun(const CounterKey& key, std::int16_t slot, Usd uncovered) {
  change_row(key, slot, Refusal::locked, [&](CounterRow& row) {
    const Usd above = row.limit ? std::max(Usd(), row.used() - *row.limit) : Usd();
    row.overrun += key.is_shared() ? uncovered : std::min(uncovered, above);
    return true;
  });
}

void add_held(const CounterKey& key, std::int16_t slot, Usd amount) {
  change_row(key, slot, Refusal::locked, [&](CounterRow& row) {
    row.held += amount;
    return true;
  });
}

Usd run_out_on(const CounterKey& key, TimestampTz now) {
  return sum_run_out
      .run(pg::Parameters()
               .add(key.budget_id)
               .add(key.organization_id)
               .date(key.period_start)
               .add(TimestampTzGetDatum(now)))[0]
      .usd(1);
}

Moved move_row(const Move& move) {
  Moved moved{move, {std::string(move.counter.scope), {}, {}, {}}, {}};
  const auto apply_move = [&](CounterRow& row) {
    row.spent += move.spent;
    row.held -= move.released;
    const Usd above = row.limit ? std::max(Usd(), row.used() - *row.limit) : Usd();
    moved.overrun = std::min(move.uncovered, above);
    row.overrun += moved.overrun;
    moved.figures.limit = row.limit;
    moved.figures.spent = row.spent;
    moved.figures.held = row.held;
    return true;
  };
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (change_row(move.counter.key, move.slot, Refusal::locked, apply_move) == Changed::yes)
      return moved;
    make_counter(move.counter);
  }
  throw Error("XX000", "a budget counter could not be made");
}

Reservation reserve(const std::vector<Applicable>& counters, Usd amount,
                    std::optional<Usd> workflow_limit, TimestampTz now, bool brief) {
  if (counters.size() > 2) check_workflow(counters);
  Reservation tightest;
  for (std::size_t i = 0; i < counters.size(); ++i) {
    const Applicable& counter = counters[i];
    const std::optional<Usd> extra = is_workflow(counter) ? workflow_limit : std::optional<Usd>();
    Reservation reservation = counter.key.is_shared() ? reserve_shared(counter, amount, now)
                                                      : reserve_plain(counter, amount, extra, now);
    if (!reservation.granted) { // all or none; the locks of the others are already ours
      for (std::size_t done = 0; done < i; ++done)
        add_held(counters[done].key, 0, -amount);
      return reservation;
    }
    const bool shows_shared =
        counter.key.is_shared() &&
        ((counters.size() == 1 && !brief) || month_is_limited(counter.key.organization_id));
    if (shows_shared) reservation.figures = counter_figures(counter);
    if (i == 0 || is_tighter(reservation.figures, tightest.figures)) tightest = reservation;
  }
  return tightest;
}

Figures tightest_figures(const std::vector<Applicable>& counters) {
  Figures tightest;
  for (std::size_t i = 0; i < counters.size(); ++i) {
    Figures figures = counter_figures(counters[i]);
    if (i == 0 || is_tighter(figures, tightest)) tightest = std::move(figures);
  }
  return tightest;
}

std::vector<Moved> apply(const std::vector<Move>& moves, TimestampTz now) {
  std::vector<Moved> results;
  std::vector<Move> shared; // one key's moves, by slot
  const auto flush = [&] {
    for (Moved& moved : apply_shared(shared, now))
      results.push_back(std::move(moved));
    shared.clear();
  };
  for (const auto& [row, move] : summed(moves)) {
    if (!row.first.is_shared()) {
      results.push_back(move_row(move));
      continue;
    }
    if (!shared.empty() && !(shared.front().counter.key == row.first)) flush();
    shared.push_back(move);
  }
  if (!shared.empty()) flush();
  return results;
}

void undo(const std::vector<Moved>& moved) {
  for (const Moved& done : moved)
    move_row({done.move.counter, done.move.slot, -done.move.spent, {}, -done.overrun});
}

std::optional<Usd> remaining_for(const Subject& subject, TimestampTz now) {
  std::optional<Usd> least;
  for (const Applicable& counter : counters_of(subject, now)) {
    if (counter.key.is_shared() && !month_is_limited(subject.organization_id)) continue;
    const std::optional<Usd> left = counter_figures(counter).remaining();
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

} // namespace holdfast::budget
