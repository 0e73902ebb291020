// Ledger entries: priced, appended, found again.
#include "extension/ledger_entry.hpp"

#include "extension/core/json_object.hpp"
#include "extension/pg/append_row.hpp"
#include "extension/pg/keyed_row.hpp"
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

constexpr const char* kColumns[] = {"organization_id",
                                    "id",
                                    "workflow_id",
                                    "idempotency_key",
                                    "hold_id",
                                    "created_at",
                                    "price_id",
                                    "prompt_tokens",
                                    "completion_tokens",
                                    "cached_tokens",
                                    "cache_write_tokens",
                                    "reasoning_tokens",
                                    "estimated",
                                    "kind",
                                    "provider",
                                    "model",
                                    "user_id",
                                    "cost",
                                    "list_cost",
                                    "reported_cost",
                                    "overrun",
                                    "total_ai_cost",
                                    "metadata",
                                    "api_key_id",
                                    "community_id",
                                    "tool",
                                    "corrects",
                                    "seq",
                                    "cache_hit",
                                    "fallback_used",
                                    "anomaly_flag"};
pg::AppendTable entries("holdfast", "ai_usage_ledger", kColumns);
pg::Sequence entry_numbers("holdfast", "ledger_seq");
pg::KeyedTable entries_by_key("holdfast", "ai_usage_ledger", "ai_usage_ledger_pkey");

// For a ledger to which a user has added triggers or columns.
constexpr Oid kInsertTypes[] = {
    UUIDOID, UUIDOID,    UUIDOID,    UUIDOID,    UUIDOID,    TIMESTAMPTZOID, INT4OID,  INT4OID,
    INT4OID, INT4OID,    INT4OID,    INT4OID,    BOOLOID,    TEXTOID,        TEXTOID,  TEXTOID,
    TEXTOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID,     JSONBOID, UUIDOID,
    UUIDOID, TEXTOID,    UUIDOID,    INT8OID,    BOOLOID,    BOOLOID,        BOOLOID};
pg::Statement insert_entry(
    "INSERT INTO holdfast.ai_usage_ledger (organization_id, id, workflow_id, idempotency_key,"
    " hold_id, created_at, price_id, prompt_tokens, completion_tokens, cached_tokens,"
    " cache_write_tokens, reasoning_tokens, estimated, kind, provider, model, user_id, cost,"
    " list_cost, reported_cost, overrun, total_ai_cost, metadata, api_key_id, community_id, tool,"
    " corrects, seq, cache_hit, fallback_used, anomaly_flag)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::holdfast.ledger_kind,"
    " $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31)"
    " ON CONFLICT DO NOTHING",
    kInsertTypes);

// The figures that a repeat has to share with the first.
struct Figures {
  std::optional<Uuid> workflow_id;
  std::optional<std::string> model;
  Tokens tokens;
  std::optional<Usd> cost;
  std::optional<std::string> provider;
  std::optional<std::string> user_id;
  std::string kind;
};

// Names the first one in which a repeat differs, nullptr when none does. A cost or provider that
// the repeat leaves out had been found by the price.
const char* differing(const Charge& repeat, const Figures& first) {
  if (first.workflow_id != repeat.subject.workflow_id) return "workflow_id";
  if (first.model != repeat.model) return "model";
  if (first.tokens.prompt != repeat.tokens.prompt) return "prompt_tokens";
  if (first.tokens.completion != repeat.tokens.completion) return "completion_tokens";
  if (first.tokens.cached != repeat.tokens.cached) return "cached_tokens";
  if (first.tokens.cache_write != repeat.tokens.cache_write) return "cache_write_tokens";
  if (first.tokens.reasoning != repeat.tokens.reasoning) return "reasoning_tokens";
  if (repeat.cost && first.cost && *first.cost != *repeat.cost) return "cost";
  if (repeat.subject.provider && first.provider && first.provider != repeat.subject.provider)
    return "provider";
  if (first.user_id != repeat.subject.user_id) return "user_id";
  if (first.kind != repeat.kind) return "kind";
  return nullptr;
}

void check_same_figures(const Charge& repeat, const Figures& first) {
  const char* field = differing(repeat, first);
  if (field == nullptr) return;
  const std::string key = repeat.idempotency_key->str();
  throw conflict("Idempotency key " + key + " was used before with another " + field + ".")
      .detail(JsonObject().text("idempotencyKey", key).text("field", field).str())
      .hint("Repeat a settlement with the figures of the first, or use a new key.");
}

// Most keys are new: the executor is asked only about those that are not.
bool is_recorded(const Charge& charge) {
  const Datum key[] = {pg::from_uuid(charge.subject.organization_id),
                       pg::from_uuid(*charge.idempotency_key)};
  pg::KeyedRow row(entries_by_key, AccessShareLock);
  return row.fetch(key, 2);
}

void add_count(pg::Parameters& parameters, std::int64_t count) { // 0 takes no room as NULL
  if (count == 0)
    parameters.null();
  else
    parameters.add_int32(static_cast<std::int32_t>(count));
}

pg::Parameters columns_of(const Charge& charge, const Costs& costs, const Entry& entry,
                          TimestampTz now) {
  pg::Parameters columns;
  columns.add(charge.subject.organization_id)
      .add(entry.ledger_id)
      .add(charge.subject.workflow_id)
      .add(charge.idempotency_key)
      .add(charge.hold_id)
      .add(TimestampTzGetDatum(now));
  add_count(columns, costs.price_id.value_or(0));
  columns.add_int32(static_cast<std::int32_t>(charge.tokens.prompt))
      .add_int32(static_cast<std::int32_t>(charge.tokens.completion));
  add_count(columns, charge.tokens.cached);
  add_count(columns, charge.tokens.cache_write);
  add_count(columns, charge.tokens.reasoning);
  columns.add_bool(charge.estimated)
      .text(charge.kind)
      .text(costs.provider)
      .text(charge.model)
      .text(charge.subject.user_id)
      .add(entry.cost)
      .add(costs.list)
      .add(charge.reported_cost)
      .add(entry.overrun)
      .add(entry.total_ai_cost)
      .add(charge.metadata ? pg::from_jsonb_text(*charge.metadata) : pg::empty_jsonb())
      .add(charge.subject.api_key_id)
      .add(charge.subject.community_id)
      .text(charge.subject.tool)
      .add(charge.corrects)
      .add_int64(entry_numbers.next())
      .add_bool(charge.cache_hit)
      .add_bool(charge.fallback_used)
      .add_bool(false);
  return columns;
}

} // namespace

Costs price(const Charge& charge, TimestampTz now) {
  Costs costs{charge.cost.value_or(Usd()), std::nullopt, std::nullopt, charge.subject.provider};
  if (!charge.model || charge.kind != "usage") return costs;
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

std::optional<Entry> find_repeated(const Charge& charge) {
  if (!charge.idempotency_key || !is_recorded(charge)) return std::nullopt;
  const pg::Rows rows = find_entry.run(
      pg::Parameters().add(charge.subject.organization_id).add(*charge.idempotency_key));
  if (rows.empty()) return std::nullopt;
  const pg::Row row = rows[0];
  check_same_figures(
      charge, {row.optional_uuid(2),
               row.optional_text(3),
               {row.integer(4), row.integer(5), row.integer(6), row.integer(7), row.integer(8)},
               row.usd(9),
               row.optional_text(12),
               row.optional_text(13),
               row.text(14)});
  Entry entry;
  entry.ledger_id = row.uuid(1);
  entry.cost = row.usd(9);
  entry.total_ai_cost = row.optional_usd(10);
  entry.overrun = row.usd(11);
  entry.duplicate = true;
  return entry;
}

void check_same(const Charge& charge, const Charge& first) {
  check_same_figures(charge, {first.subject.workflow_id, first.model, first.tokens, first.cost,
                              first.subject.provider, first.subject.user_id, first.kind});
}

bool Entries::append(const Charge& charge, const Costs& costs, const Entry& entry,
                     TimestampTz now) {
  if (!rows_) rows_.emplace(entries);
  const pg::Parameters columns = columns_of(charge, costs, entry, now);
  if (!rows_->suffices()) return insert_entry.run(columns).size() == 1;
  if (charge.idempotency_key) return rows_->add_unless_taken(columns);
  rows_->add(columns);
  return true;
}

void start() {
  entries.watch();
  entry_numbers.watch();
  entries_by_key.watch();
}

} // namespace holdfast::ledger
