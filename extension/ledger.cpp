// Settlements: what was really spent is always recorded, once.
#include "extension/ledger.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"
#include "extension/pricing.hpp"

namespace holdfast::ledger {

namespace {

constexpr Oid kFindEntryTypes[] = {UUIDOID, UUIDOID};
pg::Statement find_entry(
    "SELECT id, workflow_id, model, prompt_tokens, completion_tokens, coalesce(cached_tokens, 0),"
    " coalesce(cache_write_tokens, 0), coalesce(reasoning_tokens, 0), cost, total_ai_cost, overrun,"
    " provider, user_id, kind::text"
    " FROM holdfast.ai_usage_ledger WHERE organization_id = $1 AND id = $2",
    kFindEntryTypes);

constexpr Oid kInsertEntryTypes[] = {
    UUIDOID, UUIDOID,    UUIDOID,    UUIDOID,    UUIDOID,    TIMESTAMPTZOID, INT4OID, INT4OID,
    INT4OID, INT4OID,    INT4OID,    INT4OID,    BOOLOID,    TEXTOID,        TEXTOID, TEXTOID,
    TEXTOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID,     JSONBOID};
#define HOLDFAST_INSERT_ENTRY                                                                      \
  "INSERT INTO holdfast.ai_usage_ledger (organization_id, id, workflow_id, idempotency_key,"       \
  " hold_id, created_at, price_id, prompt_tokens, completion_tokens, cached_tokens,"               \
  " cache_write_tokens, reasoning_tokens, estimated, kind, provider, model, user_id, cost,"        \
  " list_cost, reported_cost, overrun, total_ai_cost, metadata)"                                   \
  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::holdfast.ledger_kind,"    \
  " $15, $16, $17, $18, $19, $20, $21, $22, coalesce($23, '{}'))"
pg::Statement insert_fresh(HOLDFAST_INSERT_ENTRY, kInsertEntryTypes);
pg::Statement insert_keyed(HOLDFAST_INSERT_ENTRY " ON CONFLICT DO NOTHING", kInsertEntryTypes);
#undef HOLDFAST_INSERT_ENTRY

// What a charge costs: by the list, and as it is to be recorded.
struct Costs {
  Usd cost;
  std::optional<Usd> list;
  std::optional<std::int32_t> price_id;
  std::optional<std::string> provider; // the charge's own, else the one that prices the model
};

Costs price(const Charge& charge, TimestampTz now) {
  Costs costs{charge.cost.value_or(Usd()), std::nullopt, std::nullopt, charge.subject.provider};
  if (!charge.model) return costs;
  const std::string provider = charge.subject.provider.value_or("");
  const std::int32_t day = pg::utc_day(now);
  const PriceBook& book = pricing::book();
  const Price* found = charge.cost ? book.try_find(provider, *charge.model, day)
                                   : &book.find(provider, *charge.model, day);
  if (found == nullptr) return costs;
  costs.list = cost_of(*found, charge.tokens);
  costs.price_id = found->price_id;
  if (!charge.cost) costs.cost = *costs.list;
  if (!costs.provider) costs.provider = found->provider;
  return costs;
}

Error other_figures(const Charge& charge, const char* field) {
  return conflict("Idempotency key " + charge.idempotency_key->str() +
                  " was used before with another " + field + ".")
      .detail(JsonObject()
                  .text("idempotencyKey", charge.idempotency_key->str())
                  .text("field", field)
                  .str())
      .hint("Repeat a settlement with the figures of the first, or use a new key.");
}

// Names the first field in which a repeat differs from the stored entry, nullptr when none does.
const char* differing_field(const Charge& charge, const pg::Row& stored) {
  if (stored.optional_uuid(2) != charge.subject.workflow_id) return "workflow_id";
  if (stored.optional_text(3) != charge.model) return "model";
  if (stored.integer(4) != charge.tokens.prompt) return "prompt_tokens";
  if (stored.integer(5) != charge.tokens.completion) return "completion_tokens";
  if (stored.integer(6) != charge.tokens.cached) return "cached_tokens";
  if (stored.integer(7) != charge.tokens.cache_write) return "cache_write_tokens";
  if (stored.integer(8) != charge.tokens.reasoning) return "reasoning_tokens";
  if (charge.cost && stored.usd(9) != *charge.cost) return "cost";
  if (charge.subject.provider && stored.optional_text(12) != charge.subject.provider)
    return "provider"; // a provider that was left out had been found by the price
  if (stored.optional_text(13) != charge.subject.user_id) return "user_id";
  if (stored.text(14) != charge.kind) return "kind";
  return nullptr;
}

std::optional<Entry> repeated(const Charge& charge) {
  if (!charge.idempotency_key) return std::nullopt;
  const pg::Rows rows = find_entry.run(
      pg::Parameters().add(charge.subject.organization_id).add(*charge.idempotency_key));
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  if (const char* field = differing_field(charge, row)) throw other_figures(charge, field);
  Entry entry;
  entry.ledger_id = row.uuid(1);
  entry.cost = row.usd(9);
  entry.total_ai_cost = row.optional_usd(10);
  entry.overrun = row.usd(11);
  entry.duplicate = true;
  return entry;
}

void check_hold_belongs(const Charge& charge, const budget::EndedHold& hold) {
  if (hold.workflow_id == charge.subject.workflow_id) return;
  throw conflict("Hold " + hold.hold_id.str() + " was taken for another workflow.")
      .detail(JsonObject().text("holdId", hold.hold_id.str()).text("field", "workflow_id").str())
      .hint("Settle a hold with the workflow that it was taken for.");
}

std::optional<Usd> workflow_total(const std::vector<budget::Moved>& moved, const Charge& charge) {
  for (const budget::Moved& move : moved) {
    if (charge.subject.workflow_id == move.key.budget_id) return move.figures.spent;
  }
  return std::nullopt;
}

bool insert(const Charge& charge, const Costs& costs, const Entry& entry, TimestampTz now) {
  const auto tokens_or_null = [](pg::Parameters& parameters, std::int64_t count) {
    if (count == 0)
      parameters.null();
    else
      parameters.add_int32(static_cast<std::int32_t>(count));
  };
  pg::Parameters parameters;
  parameters.add(charge.subject.organization_id)
      .add(entry.ledger_id)
      .add(charge.subject.workflow_id)
      .add(charge.idempotency_key)
      .add(charge.hold_id)
      .add(TimestampTzGetDatum(now));
  if (costs.price_id)
    parameters.add_int32(*costs.price_id);
  else
    parameters.null();
  parameters.add_int32(static_cast<std::int32_t>(charge.tokens.prompt))
      .add_int32(static_cast<std::int32_t>(charge.tokens.completion));
  tokens_or_null(parameters, charge.tokens.cached);
  tokens_or_null(parameters, charge.tokens.cache_write);
  tokens_or_null(parameters, charge.tokens.reasoning);
  parameters.add_bool(charge.estimated)
      .text(charge.kind)
      .text(costs.provider)
      .text(charge.model)
      .text(charge.subject.user_id)
      .add(entry.cost)
      .add(costs.list)
      .add(charge.reported_cost)
      .add(entry.overrun)
      .add(entry.total_ai_cost);
  if (charge.metadata)
    parameters.add(pg::from_jsonb_text(*charge.metadata));
  else
    parameters.null();
  pg::Statement& statement = charge.idempotency_key ? insert_keyed : insert_fresh;
  return statement.run(parameters).size() == 1;
}

// The moves that one charge makes: its cost on every counter, and back what its hold reserved.
std::vector<budget::Move> moves_of(const Charge& charge, Usd cost, Usd uncovered,
                                   const std::optional<budget::EndedHold>& hold, TimestampTz now) {
  std::vector<budget::Move> moves;
  for (const budget::CounterKey& key : budget::counters_of(charge.subject, now))
    moves.push_back({key, cost, {}, uncovered});
  if (hold) budget::add_release_moves(*hold, moves);
  return moves;
}

} // namespace

Entry record(const Charge& charge, TimestampTz now) {
  check_tokens(charge.tokens);
  if (std::optional<Entry> first = repeated(charge)) return *first;
  const Costs costs = price(charge, now);
  std::optional<budget::EndedHold> hold;
  if (charge.hold_id) {
    hold = budget::end_hold(charge.subject.organization_id, *charge.hold_id,
                            budget::Ending::settled, now);
    // While we waited for the hold, another session may have settled it under the same key.
    if (!hold)
      if (std::optional<Entry> first = repeated(charge)) return *first;
    if (hold) check_hold_belongs(charge, *hold);
  }
  const Usd covered = hold && !hold->expired ? hold->amount : Usd();
  const Usd uncovered = std::max(Usd(), costs.cost - covered);
  const std::vector<budget::Moved> moved =
      budget::apply(moves_of(charge, costs.cost, uncovered, hold, now));
  Entry entry;
  entry.ledger_id = charge.idempotency_key.value_or(pg::new_uuid());
  entry.cost = costs.cost;
  entry.total_ai_cost = workflow_total(moved, charge);
  entry.remaining = budget::least_remaining(moved);
  if (charge.hold_id)
    entry.overrun = uncovered;
  else
    for (const budget::Moved& move : moved)
      entry.overrun = std::max(entry.overrun, move.overrun);
  if (insert(charge, costs, entry, now)) return entry;
  // Another session recorded this key after we looked: undo, and answer with its entry.
  std::vector<budget::Move> undo;
  for (const budget::Moved& move : moved)
    undo.push_back({move.key, -costs.cost, {}, -move.overrun});
  budget::apply(std::move(undo));
  if (std::optional<Entry> first = repeated(charge)) return *first;
  throw Error("XX000", "a ledger entry is in the way that cannot be seen");
}

} // namespace holdfast::ledger
