// Settlements: what was really spent is always recorded, once.
#include "extension/ledger.hpp"

#include "extension/budget_counter.hpp"
#include "extension/core/json_object.hpp"
#include "extension/events.hpp"
#include "extension/ledger_entry.hpp"
#include "extension/pg/spi.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace holdfast::ledger {

namespace {

constexpr Oid kListTypes[] = {UUIDOID, UUIDARRAYOID};
pg::Statement find_workflows(
    "SELECT budget_id FROM holdfast.budget_counters WHERE organization_id = $1"
    " AND budget_id = ANY ($2) AND scope = 'workflow' AND period_start = '-infinity'",
    kListTypes);
pg::Statement find_holds("SELECT hold_id, workflow_id FROM holdfast.holds"
                         " WHERE organization_id = $1 AND hold_id = ANY ($2)",
                         kListTypes);

// One charge on its way into the ledger.
struct Item {
  const Charge* charge = nullptr;
  std::optional<Error> error;
  std::optional<std::size_t> first; // the item of this batch that it repeats
  std::optional<Entry> recorded;    // the entry that it repeats
  Costs costs;
  std::optional<budget::EndedHold> hold;
  std::vector<budget::Move> moves;
  Entry entry;

  bool is_open() const { return !error && !first && !recorded; }
};

class Batch {
public:
  Batch(const Uuid& organization_id, const Charge* charges, std::size_t count)
      : organization_id_(organization_id), items_(count) {
    for (std::size_t i = 0; i < count; ++i)
      items_[i].charge = charges + i;
  }

  std::vector<Outcome> record() {
    budget::pin_budgets(organization_id_);
    now_ = GetCurrentTimestamp();
    find_repeats();
    for_each_open([&](Item& item) {
      check_tokens(item.charge->tokens);
      item.costs = price(*item.charge, now_);
    });
    check_workflows();
    check_holds();
    end_holds();
    move_counters();
    append_entries();
    return outcomes();
  }

private:
  // Does the work for each item that is still to be recorded; what it throws is the item's own.
  template <class Work>
  void for_each_open(Work work) {
    for (Item& item : items_) {
      if (!item.is_open()) continue;
      try_item(item, [&] { work(item); });
    }
  }

  template <class Work>
  static void try_item(Item& item, Work work);

  std::vector<Uuid> collect(std::optional<Uuid> (*pick)(const Charge&)) const {
    std::set<Uuid> found;
    for (const Item& item : items_) {
      if (!item.is_open()) continue;
      if (const std::optional<Uuid> id = pick(*item.charge)) found.insert(*id);
    }
    return {found.begin(), found.end()};
  }

  void find_repeats() {
    std::map<Uuid, std::size_t> first_with;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      Item& item = items_[i];
      const Charge& charge = *item.charge;
      if (!charge.idempotency_key) continue;
      try_item(item, [&] {
        const auto [first, is_new] = first_with.try_emplace(*charge.idempotency_key, i);
        if (is_new) {
          item.recorded = find_repeated(charge);
          return;
        }
        check_same(charge, *items_[first->second].charge);
        item.first = first->second;
      });
    }
  }

  // In a batch one unknown workflow is that entry's error; alone it is found when it is counted.
  void check_workflows() {
    if (items_.size() == 1) return;
    const std::vector<Uuid> ids =
        collect([](const Charge& charge) { return charge.subject.workflow_id; });
    if (ids.empty()) return;
    std::set<Uuid> known;
    const pg::Rows rows =
        find_workflows.run(pg::Parameters().add(organization_id_).add(pg::from_uuids(ids)));
    for (std::uint64_t i = 0; i < rows.size(); ++i)
      known.insert(rows[i].uuid(1));
    for_each_open([&](Item& item) {
      const std::optional<Uuid>& id = item.charge->subject.workflow_id;
      if (id && known.count(*id) == 0)
        throw not_found("The organization has no workflow " + id->str() + ".")
            .detail(JsonObject().text("workflowId", id->str()).str());
    });
  }

  void check_holds() {
    const std::vector<Uuid> ids = collect([](const Charge& charge) {
      return charge.as_held ? std::optional<Uuid>() : charge.hold_id;
    });
    if (ids.empty()) return;
    std::map<Uuid, std::optional<Uuid>> workflow_of;
    const pg::Rows rows =
        find_holds.run(pg::Parameters().add(organization_id_).add(pg::from_uuids(ids)));
    for (std::uint64_t i = 0; i < rows.size(); ++i)
      workflow_of.emplace(rows[i].uuid(1), rows[i].optional_uuid(2));
    for_each_open([&](Item& item) {
      const std::optional<Uuid>& id = item.charge->hold_id;
      if (!id || item.charge->as_held) return;
      const std::string detail =
          JsonObject().text("holdId", id->str()).text("field", "workflow_id").str();
      const auto known = workflow_of.find(*id);
      if (known == workflow_of.end())
        throw not_found("The organization has no hold " + id->str() + ".").detail(detail);
      if (known->second != item.charge->subject.workflow_id)
        throw conflict("Hold " + id->str() + " was taken for another workflow.")
            .detail(detail)
            .hint("Settle a hold with the workflow that it was taken for.");
    });
  }

  // In ascending order of the holds, as every session locks them.
  void end_holds() {
    std::map<Uuid, Item*> by_hold;
    for (Item& item : items_) {
      if (item.is_open() && item.charge->hold_id) by_hold.try_emplace(*item.charge->hold_id, &item);
    }
    for (auto& [hold_id, item] : by_hold) {
      item->hold = budget::end_hold(organization_id_, hold_id, budget::Ending::settled, now_);
      // While we waited for the hold, another session may have settled it under the same key.
      if (!item->hold) try_item(*item, [at = item] { at->recorded = find_repeated(*at->charge); });
    }
  }

  // What the hold reserved on a counter covers the cost there; the rest is uncovered.
  void collect_moves(Item& item) const {
    budget::Subject subject = item.charge->subject;
    if (!subject.provider) subject.provider = item.costs.provider;
    for (const budget::Applicable& counter : budget::counters_of(subject, now_)) {
      const std::optional<std::int16_t> held_slot =
          item.hold ? item.hold->slot_on(counter.key) : std::nullopt;
      const Usd covered = held_slot && !item.hold->expired ? item.hold->amount : Usd();
      const std::int16_t own = counter.key.is_shared() ? budget::own_slot() : std::int16_t{0};
      item.moves.push_back({counter,
                            held_slot.value_or(own),
                            item.entry.cost,
                            {},
                            std::max(Usd(), item.entry.cost - covered)});
    }
    if (item.hold) budget::add_release_moves(*item.hold, item.moves);
  }

  void move_counters() {
    std::vector<budget::Move> moves;
    for (Item& item : items_) {
      if (!item.is_open()) continue;
      item.entry.cost = item.costs.cost;
      collect_moves(item);
      moves.insert(moves.end(), item.moves.begin(), item.moves.end());
    }
    moved_ = budget::apply(moves, now_);
    uncover_run_out();
  }

  // A hold may have run out while we waited for its counters, and another session may have given
  // its amount away: what it was to cover is then overrun. The counters are ours by now.
  void uncover_run_out() {
    const TimestampTz now = GetCurrentTimestamp();
    for (Item& item : items_) {
      if (!item.is_open() || !item.hold || item.hold->expired || item.hold->expires_at > now)
        continue;
      item.hold->expired = true;
      for (const budget::Move& move : item.moves) {
        const Usd covered = move.spent - move.uncovered;
        if (covered > Usd()) budget::add_overrun(move.counter.key, move.slot, covered);
      }
    }
  }

  // What each workflow had spent before this batch.
  std::map<Uuid, Usd> totals_before() const {
    std::map<Uuid, Usd> totals;
    for (const budget::Moved& done : moved_) {
      const budget::CounterKey& key = done.move.counter.key;
      if (key.period_start == INT32_MIN)
        totals[key.budget_id] = done.figures.spent - done.move.spent;
    }
    return totals;
  }

  void append_entries() {
    std::map<Uuid, Usd> totals = totals_before();
    std::vector<Item*> open;
    for (Item& item : items_) {
      if (!item.is_open()) continue;
      const Charge& charge = *item.charge;
      item.entry.ledger_id = charge.idempotency_key ? *charge.idempotency_key : pg::new_uuid();
      if (charge.subject.workflow_id)
        item.entry.total_ai_cost = totals[*charge.subject.workflow_id] += item.entry.cost;
      open.push_back(&item);
    }
    name_overruns(open);
    // In ascending order of the keys, as every session takes them.
    std::sort(open.begin(), open.end(),
              [](const Item* a, const Item* b) { return a->entry.ledger_id < b->entry.ledger_id; });
    for (Item* item : open) {
      if (entries_.append(*item->charge, item->costs, item->entry, now_))
        tell_settlement(*item->charge, item->costs, item->entry);
      else
        take_back(*item);
    }
  }

  static void tell_settlement(const Charge& charge, const Costs& costs, const Entry& entry) {
    if (!events::is_wanted(events::Kind::settlement)) return;
    JsonObject members;
    members.text("ledgerId", entry.ledger_id.str())
        .text("kind", charge.kind)
        .number("costUSD", entry.cost.str());
    if (!entry.overrun.is_zero()) members.number("overrunUSD", entry.overrun.str());
    if (charge.subject.workflow_id) members.text("workflowId", charge.subject.workflow_id->str());
    if (charge.subject.user_id) members.text("userId", *charge.subject.user_id);
    if (costs.provider) members.text("provider", *costs.provider);
    if (charge.model) members.text("model", *charge.model);
    events::send(events::Kind::settlement, charge.subject.organization_id, members);
  }

  // An entry's overrun is what its hold did not cover. Without a hold it is what passed a limit:
  // the counters tell how much the whole batch did, and of its entries those that come last have
  // done it, for what was held had its room before.
  void name_overruns(const std::vector<Item*>& items) const {
    std::map<budget::CounterKey, Usd> above;
    for (const budget::Moved& done : moved_)
      above[done.move.counter.key] += done.overrun;
    for (auto at = items.rbegin(); at != items.rend(); ++at) {
      Item& item = **at;
      if (item.charge->hold_id) {
        const Usd covered = item.hold && !item.hold->expired ? item.hold->amount : Usd();
        item.entry.overrun = std::max(Usd(), item.entry.cost - covered);
        continue;
      }
      for (const budget::Move& move : item.moves) {
        Usd& left = above[move.counter.key];
        const Usd part = std::min(move.uncovered, left);
        item.entry.overrun = std::max(item.entry.overrun, part);
        left -= part;
      }
    }
  }

  // Another session recorded this key after we looked: undo, and answer with its entry.
  static void take_back(Item& item) {
    std::vector<budget::Moved> done;
    for (const budget::Move& move : item.moves) {
      if (!move.spent.is_zero()) done.push_back({move, {}, {}});
    }
    budget::undo(done);
    try_item(item, [&] { item.recorded = find_repeated(*item.charge); });
    if (!item.recorded && !item.error)
      throw Error("XX000", "a ledger entry is in the way that cannot be seen");
  }

  std::vector<Outcome> outcomes() const {
    std::vector<Outcome> results;
    for (const Item& item : items_) {
      const Item& first = item.first ? items_[*item.first] : item;
      Outcome outcome{first.recorded ? *first.recorded : first.entry,
                      item.error ? item.error : first.error};
      outcome.entry.duplicate = item.first.has_value() || first.recorded.has_value();
      results.push_back(std::move(outcome));
    }
    return results;
  }

  Uuid organization_id_;
  TimestampTz now_ = 0;
  std::vector<Item> items_;
  std::vector<budget::Moved> moved_;
  Entries entries_;
};

// Only what a caller got wrong is the item's own; an error of the server ends the transaction.
template <class Work>
void Batch::try_item(Item& item, Work work) {
  item.error = pg::caught([&] { work(); });
}

} // namespace

std::vector<Outcome> record(const Uuid& organization_id, const Charge* charges, std::size_t count) {
  return Batch(organization_id, charges, count).record();
}

Entry record(const Charge& charge) {
  Outcome outcome = record(charge.subject.organization_id, &charge, 1).front();
  if (outcome.error) throw *outcome.error;
  return outcome.entry;
}

} // namespace holdfast::ledger
