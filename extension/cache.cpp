// Answers kept for requests that are asked again, and who makes one that is not there yet.
#include "extension/cache.hpp"

#include "extension/audit.hpp"
#include "extension/call_key.hpp"
#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/ledger_entry.hpp"
#include "extension/organization.hpp"
#include "extension/organization_setting.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/jsonb.hpp"
#include "extension/pg/keyed_row.hpp"
#include "extension/pg/spi.hpp"
#include "extension/rate_limit.hpp"

namespace holdfast::cache {

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::int64_t kUsPerMs = 1000;
constexpr std::int64_t kBytesPerKb = 1024;
constexpr std::int32_t kAnswered = 200;

// Written by the server.
int most_entries = 0;
int most_kb = 0;
int most_answer_kb = 0;

// Read and counted without the executor: a hit is to cost little.
pg::KeyedTable entries("holdfast", "ai_cache", "ai_cache_pkey");
pg::KeyedTable hits("holdfast", "ai_cache_hits", "ai_cache_hits_pkey");

// Columns of ai_cache.
constexpr int kEntryId = 3;
constexpr int kProvider = 4;
constexpr int kModel = 5;
constexpr int kPromptTokens = 6;
constexpr int kCompletionTokens = 7;
constexpr int kCachedTokens = 8;
constexpr int kCacheWriteTokens = 9;
constexpr int kReasoningTokens = 10;
constexpr int kCreatedAt = 12;
constexpr int kExpiresAt = 13;
constexpr int kAnswer = 14;

// Columns of ai_cache_hits.
constexpr int kHits = 4;

constexpr int kHitSlots = 16;

constexpr Oid kCallTypes[] = {UUIDOID, TEXTOID};
pg::Statement find_call("SELECT 1 FROM holdfast.idempotent_calls"
                        " WHERE organization_id = $1 AND idempotency_key = $2",
                        kCallTypes);

constexpr Oid kHitTypes[] = {UUIDOID, BYTEAOID, INT2OID};
pg::Statement add_hit("INSERT INTO holdfast.ai_cache_hits AS h"
                      " (organization_id, cache_key, slot, hits) VALUES ($1, $2, $3, 1)"
                      " ON CONFLICT (organization_id, cache_key, slot)"
                      " DO UPDATE SET hits = h.hits + 1",
                      kHitTypes);

// A flight whose lease has run out is taken over; who waited for it waits on.
constexpr Oid kFlightTypes[] = {UUIDOID, BYTEAOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
pg::Statement take_flight("INSERT INTO holdfast.ai_cache_flights AS f"
                          " (organization_id, cache_key, flight_id, lease_until)"
                          " VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, cache_key)"
                          " DO UPDATE SET flight_id = excluded.flight_id,"
                          " lease_until = excluded.lease_until WHERE f.lease_until <= $5"
                          " RETURNING 1",
                          kFlightTypes);

constexpr Oid kAwaitTypes[] = {UUIDOID, BYTEAOID};
pg::Statement await_flight("UPDATE holdfast.ai_cache_flights SET is_awaited = true"
                           " WHERE organization_id = $1 AND cache_key = $2 AND NOT is_awaited",
                           kAwaitTypes);
pg::Statement find_flight("SELECT lease_until FROM holdfast.ai_cache_flights"
                          " WHERE organization_id = $1 AND cache_key = $2",
                          kAwaitTypes);

constexpr Oid kEndTypes[] = {UUIDOID, BYTEAOID, UUIDOID};
pg::Statement end_flight("SELECT holdfast.end_flight($1, $2, $3)", kEndTypes);

constexpr Oid kWorkflowTypes[] = {UUIDOID, UUIDOID};
pg::Statement find_workflow("SELECT 1 FROM holdfast.budget_counters WHERE organization_id = $1"
                            " AND budget_id = $2 AND scope = 'workflow'"
                            " AND period_start = '-infinity'",
                            kWorkflowTypes);

constexpr Oid kKeepTypes[] = {UUIDOID, BYTEAOID, UUIDOID,        TEXTOID,       TEXTOID,
                              INT4OID, INT4OID,  INT4OID,        INT4OID,       INT4OID,
                              INT4OID, TEXTOID,  TIMESTAMPTZOID, TIMESTAMPTZOID};
pg::Statement keep_entry(
    "INSERT INTO holdfast.ai_cache (organization_id, cache_key, entry_id, provider, model,"
    " prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,"
    " answer_bytes, answer, created_at, expires_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    " ON CONFLICT (organization_id, cache_key) DO UPDATE SET entry_id = excluded.entry_id,"
    " provider = excluded.provider, model = excluded.model,"
    " prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,"
    " cached_tokens = excluded.cached_tokens, cache_write_tokens = excluded.cache_write_tokens,"
    " reasoning_tokens = excluded.reasoning_tokens, answer_bytes = excluded.answer_bytes,"
    " answer = excluded.answer, created_at = excluded.created_at,"
    " expires_at = excluded.expires_at",
    kKeepTypes);

// Of organizations that keep too much goes what expires first. An answer that was made anew
// meanwhile stays.
constexpr Oid kTrimTypes[] = {INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID};
pg::Statement trim_entries(
    "WITH crowded AS ("
    " SELECT organization_id FROM holdfast.ai_cache GROUP BY organization_id"
    " HAVING count(*) > $2 OR sum(answer_bytes) > $3"
    "), ranked AS ("
    " SELECT organization_id, cache_key, expires_at, row_number() OVER newest AS place,"
    " sum(answer_bytes) OVER newest AS bytes FROM holdfast.ai_cache JOIN crowded"
    " USING (organization_id)"
    " WINDOW newest AS (PARTITION BY organization_id ORDER BY expires_at DESC, cache_key)"
    "), doomed AS ("
    " (SELECT organization_id, cache_key, expires_at FROM holdfast.ai_cache"
    "  WHERE expires_at <= $4 ORDER BY expires_at LIMIT $1)"
    " UNION (SELECT organization_id, cache_key, expires_at FROM ranked"
    "        WHERE place > $2 OR bytes > $3 LIMIT $1)"
    "), gone AS ("
    " DELETE FROM holdfast.ai_cache c USING doomed d WHERE c.organization_id = d.organization_id"
    " AND c.cache_key = d.cache_key AND c.expires_at = d.expires_at"
    " RETURNING c.organization_id, c.cache_key"
    "), hits AS ("
    " DELETE FROM holdfast.ai_cache_hits h USING gone g"
    " WHERE h.organization_id = g.organization_id AND h.cache_key = g.cache_key"
    "), flights AS ("
    " DELETE FROM holdfast.ai_cache_flights WHERE lease_until < $4 - interval '1 minute'"
    ") SELECT count(*) FROM gone",
    kTrimTypes);

// One request that may be answered without its provider.
struct Asked {
  Uuid organization_id;
  std::string key_hash;
  std::string cache_key;
  Uuid flight_id;
  bool asked = false;
  std::optional<TimestampTz> not_before; // no older answer
  std::optional<Uuid> entry_id;          // whose answer the caller has
  TimestampTz lease_until = 0;
  std::optional<Uuid> workflow_id;
  std::optional<std::string> user_id;
  std::optional<call_key::Key> call_key;
  std::string fingerprint;
  std::optional<Datum> ip;
  std::optional<std::string> route;
  std::string metadata;
  Datum metadata_jsonb{};
  audit::Ids ids;
};

// What is kept for it.
struct Kept {
  Uuid entry_id;
  std::string provider;
  std::string model;
  Tokens tokens;
  TimestampTz created_at = 0;
  std::optional<std::string> answer;
};

// The result row.
struct Found {
  std::string outcome; // cached, limited, flight, waiting, pass, failed
  std::string failure; // as JSON
  std::optional<Kept> kept;
  std::optional<Uuid> ledger_id;
  std::optional<Usd> saved;
  std::optional<std::int32_t> lease_ms;
  rate_limit::Decision rate;
  bool is_limited() const { return outcome == "limited"; }
};

std::string read_key(const pg::Arguments& arguments, int i) {
  std::string key = pg::to_bytes(arguments.required(i, "p_cache_key"));
  if (key.size() != kKeyBytes)
    throw bad_value("p_cache_key is no SHA-256 of 32 bytes.")
        .detail(JsonObject().text("field", "p_cache_key").str());
  return key;
}

Asked read_asked(const pg::Arguments& arguments, TimestampTz now) {
  Asked asked;
  asked.organization_id = arguments.uuid(0, "p_organization_id");
  asked.key_hash = pg::to_bytes(arguments.required(1, "p_key_hash"));
  asked.cache_key = read_key(arguments, 2);
  asked.flight_id = arguments.uuid(3, "p_flight_id");
  asked.asked = arguments.boolean(4, "p_asked");
  if (!arguments.is_null(5)) {
    const TimestampTz later = arguments.expiry(5, "p_max_age", now);
    asked.not_before = now - (later - now);
  }
  asked.entry_id = arguments.optional_uuid(6);
  asked.lease_until = arguments.expiry(7, "p_lease", now);
  asked.workflow_id = arguments.optional_uuid(8);
  asked.user_id = arguments.optional_text(9, "p_user_id");
  if (const auto name = arguments.optional_text(10, "p_idempotency_key")) {
    asked.call_key = call_key::Key{asked.organization_id, *name};
    asked.fingerprint = pg::to_bytes(arguments.required(11, "p_fingerprint"));
    asked.entry_id.reset(); // the answer is needed for a repeat under that key
  }
  if (!arguments.is_null(12)) asked.ip = arguments.required(12, "p_ip");
  asked.route = arguments.optional_text(13, "p_route");
  asked.metadata_jsonb = arguments.required(14, "p_metadata");
  asked.metadata = pg::json_object_text(asked.metadata_jsonb, "p_metadata");
  if (const auto id = pg::text_if_any(asked.metadata_jsonb, "requestId"))
    asked.ids.request_id = parse_uuid(*id);
  asked.ids.correlation_id = pg::text_if_any(asked.metadata_jsonb, "correlationId");
  return asked;
}

pg::Parameters key_of(const Asked& asked) {
  pg::Parameters parameters;
  parameters.add(asked.organization_id).add(pg::from_bytes(asked.cache_key));
  return parameters;
}

// The answer that is kept; nothing where the request is a repeat of an earlier call.
struct Look {
  bool is_allowed = false;
  std::optional<Kept> kept;
};

Look look_up(const Asked& asked, TimestampTz now) {
  Look look;
  if (asked.call_key) {
    pg::Parameters call;
    call.add(asked.organization_id).text(asked.call_key->name);
    if (!find_call.run(call).empty()) return look;
  }
  look.is_allowed = true;
  const Datum key[] = {pg::from_uuid(asked.organization_id), pg::from_bytes(asked.cache_key)};
  pg::KeyedRow found(entries, AccessShareLock);
  if (!found.fetch(key, 2)) return look;
  const pg::Row row = found.row();
  const auto moment = [&](int column) { return DatumGetTimestampTz(row.datum(column)); };
  if (moment(kExpiresAt) <= now) return look;
  if (asked.not_before && moment(kCreatedAt) < *asked.not_before) return look;
  Kept kept;
  kept.entry_id = row.uuid(kEntryId);
  kept.provider = row.text(kProvider);
  kept.model = row.text(kModel);
  kept.tokens = {row.integer(kPromptTokens), row.integer(kCompletionTokens),
                 row.integer(kCachedTokens), row.integer(kCacheWriteTokens),
                 row.integer(kReasoningTokens)};
  kept.created_at = moment(kCreatedAt);
  if (kept.entry_id != asked.entry_id) kept.answer = row.text(kAnswer);
  look.kept = std::move(kept);
  return look;
}

// In this process's own part of the count, or the next that nobody is changing: those who are given
// one answer wait neither for each other nor for who clears the cache. Where all are being changed
// they are being deleted.
void count_hit(const Asked& asked) {
  for (int turn = 0; turn < kHitSlots; ++turn) {
    const auto slot = static_cast<std::int16_t>((MyProcPid + turn) % kHitSlots);
    const Datum key[] = {pg::from_uuid(asked.organization_id), pg::from_bytes(asked.cache_key),
                         Int16GetDatum(slot)};
    bool is_there = false;
    {
      pg::KeyedRow row(hits, RowExclusiveLock);
      is_there = row.fetch(key, 3);
      const int columns[] = {kHits};
      if (is_there) {
        const Datum values[] = {Int64GetDatum(row.row().bigint(kHits) + 1)};
        if (row.update(columns, values, 1, false)) return;
      }
    }
    if (is_there) continue;
    add_hit.run(key_of(asked).add(Int16GetDatum(slot)));
    return;
  }
}

// A hit reaches no provider and uses no tokens, but is a request like any other.
bool is_within_limits(const Asked& asked, const organization::Key& key, Found& found) {
  if (!rate_limit::is_on()) return true;
  rate_limit::Request request;
  request.organization_id = asked.organization_id;
  request.user_id = asked.user_id ? asked.user_id : key.user_id;
  request.ip = asked.ip;
  request.api_key_id = key.api_key_id;
  request.key_requests = key.requests_per_minute;
  request.key_tokens = key.tokens_per_minute;
  request.route = asked.route;
  request.workflow_id = asked.workflow_id;
  request.ids = asked.ids;
  found.rate = rate_limit::decide(request);
  if (!found.rate.allowed) found.outcome = "limited";
  return found.rate.allowed;
}

void check_workflow(const Asked& asked) {
  if (!asked.workflow_id) return;
  const pg::Rows rows =
      find_workflow.run(pg::Parameters().add(asked.organization_id).add(*asked.workflow_id));
  if (rows.empty())
    throw not_found("The organization has no workflow " + asked.workflow_id->str() + ".")
        .detail(JsonObject().text("workflowId", asked.workflow_id->str()).str());
}

// An entry of cost 0: it moves no counter, so it locks none.
void record_hit(const Asked& asked, const organization::Key& key, const Kept& kept, Found& found,
                TimestampTz now) {
  ledger::Charge charge;
  charge.subject.organization_id = asked.organization_id;
  charge.subject.workflow_id = asked.workflow_id;
  charge.subject.user_id = asked.user_id ? asked.user_id : key.user_id;
  charge.subject.provider = kept.provider;
  charge.subject.api_key_id = key.api_key_id;
  charge.model = kept.model;
  charge.tokens = kept.tokens;
  charge.cost = Usd();
  charge.cache_hit = true;
  charge.metadata = asked.metadata;
  const ledger::Costs costs = ledger::price(charge, now);
  ledger::Entry entry;
  entry.ledger_id = *found.ledger_id;
  ledger::Entries().append(charge, costs, entry, now);
  found.saved = costs.list;
  count_hit(asked);
  audit::Entry told;
  told.organization_id = asked.organization_id;
  told.event = "cached";
  told.status = kAnswered;
  told.workflow_id = asked.workflow_id;
  told.user_id = charge.subject.user_id;
  told.api_key_id = key.api_key_id;
  told.provider = kept.provider;
  told.model = kept.model;
  told.prompt_tokens = kept.tokens.prompt;
  told.completion_tokens = kept.tokens.completion;
  told.cost = Usd();
  audit::record(told, asked.metadata_jsonb);
}

// Gives what is kept; false when the caller is to make the call after all.
bool give(const Asked& asked, const organization::Key& key, Kept kept, Found& found,
          TimestampTz now) {
  if (pg::caught([&] { organization::require_allowed(key, kept.provider, kept.model); }))
    return false;
  check_workflow(asked);
  if (!is_within_limits(asked, key, found)) return true;
  found.ledger_id = pg::new_uuid();
  if (asked.call_key) {
    if (call_key::claim(*asked.call_key, asked.fingerprint, *found.ledger_id, now)) return false;
    call_key::keep_answer(*asked.call_key, *found.ledger_id, kAnswered,
                          pg::from_text(kept.answer.value_or("")));
  }
  record_hit(asked, key, kept, found, now);
  found.outcome = "cached";
  found.kept = std::move(kept);
  return true;
}

Found find(const Asked& asked, TimestampTz now) {
  const organization::Key key = organization::authenticate(asked.organization_id, asked.key_hash);
  Found found;
  found.outcome = "pass";
  if (!organization::settings_of(asked.organization_id).caches(asked.asked)) return found;
  for (;;) { // ends: each time another session has ended a flight
    Look look = look_up(asked, now);
    if (!look.is_allowed) return found;
    if (look.kept) {
      give(asked, key, std::move(*look.kept), found, now);
      return found;
    }
    const Datum lease = TimestampTzGetDatum(asked.lease_until);
    const Datum time = TimestampTzGetDatum(now);
    if (!take_flight.run(key_of(asked).add(asked.flight_id).add(lease).add(time)).empty()) {
      // Another flight may have landed between our look and our flight.
      look = look_up(asked, now);
      found.outcome = "flight";
      if (!look.kept) return found;
      end_flight.run(key_of(asked).add(asked.flight_id));
      found.outcome = "pass";
      give(asked, key, std::move(*look.kept), found, now);
      return found;
    }
    await_flight.run(key_of(asked));
    const pg::Rows rows = find_flight.run(key_of(asked));
    if (rows.empty()) continue;
    const std::int64_t left = DatumGetTimestampTz(rows[0].datum(1)) - now;
    found.outcome = "waiting";
    found.lease_ms = static_cast<std::int32_t>(std::max<std::int64_t>(left / kUsPerMs, 1));
    return found;
  }
}

// A mistake as the outcome of one question among others.
Found failed(const Error& error) {
  Found found;
  found.outcome = "failed";
  found.failure = JsonObject()
                      .text("sqlstate", error.sqlstate())
                      .text("message", error.message())
                      .text("detail", error.detail())
                      .text("hint", error.hint())
                      .str();
  return found;
}

Datum found_row(const Found& found, TimestampTz now, FunctionCallInfo fcinfo) {
  pg::ResultRow row;
  row.text(found.outcome);
  if (found.kept)
    row.add(found.kept->entry_id)
        .text(found.kept->answer)
        .text(found.kept->provider)
        .text(found.kept->model);
  else if (found.outcome == "failed")
    row.null().text(found.failure).null().null();
  else
    row.null().null().null().null();
  row.add(found.outcome == "cached" ? found.ledger_id : std::nullopt).add(found.saved);
  if (found.kept)
    row.add(Int64GetDatum((now - found.kept->created_at) / kUsPerMs));
  else
    row.null();
  if (found.lease_ms)
    row.add_int32(*found.lease_ms);
  else
    row.null();
  if (found.is_limited())
    row.add_int32(found.rate.retry_after_ms);
  else
    row.null();
  if (found.rate.layer)
    row.text(name_of(*found.rate.layer))
        .add(Int64GetDatum(found.rate.limit))
        .add(Int64GetDatum(found.rate.remaining))
        .add_int32(found.rate.reset_ms);
  else
    row.null().null().null().null();
  return row.finish(fcinfo);
}

// Keeps the answer and ends its flight; the entry's id, unless it is not wanted.
std::optional<Uuid> keep(const pg::Arguments& arguments, TimestampTz now) {
  const Uuid organization_id = arguments.uuid(0, "p_organization_id");
  const Datum key = pg::from_bytes(read_key(arguments, 1));
  const Uuid flight_id = arguments.uuid(2, "p_flight_id");
  const std::string answer = pg::to_text(arguments.required(7, "p_answer"));
  const bool fits = static_cast<std::int64_t>(answer.size()) <= most_answer_kb * kBytesPerKb;
  std::optional<Uuid> entry_id;
  if (fits && organization::settings_of(organization_id).caches(arguments.boolean(8, "p_asked"))) {
    entry_id = pg::new_uuid();
    const auto tokens = [&](int i, const char* name) { return arguments.integer(i, name); };
    keep_entry.run(pg::Parameters()
                       .add(organization_id)
                       .add(key)
                       .add(*entry_id)
                       .text(arguments.text(3, "p_provider"))
                       .text(arguments.text(4, "p_model"))
                       .add_int32(tokens(5, "p_prompt_tokens"))
                       .add_int32(tokens(6, "p_completion_tokens"))
                       .add_int32(tokens(10, "p_cached_tokens"))
                       .add_int32(tokens(11, "p_cache_write_tokens"))
                       .add_int32(tokens(12, "p_reasoning_tokens"))
                       .add_int32(static_cast<std::int32_t>(answer.size()))
                       .text(answer)
                       .add(TimestampTzGetDatum(now))
                       .add(TimestampTzGetDatum(arguments.expiry(9, "p_ttl", now))));
  }
  end_flight.run(pg::Parameters().add(organization_id).add(key).add(flight_id));
  return entry_id;
}

} // namespace

void start() {
  entries.watch();
  hits.watch();
  constexpr int kMost = 100'000'000;
  const auto define = [](const char* name, const char* meaning, int* value, int standard,
                         int flags) {
    DefineCustomIntVariable(name, meaning, nullptr, value, standard, 0, kMost, PGC_SUSET, flags,
                            nullptr, nullptr, nullptr);
  };
  define("holdfast.cache_entries", "Most answers that are kept of one organization.", &most_entries,
         10'000, 0);
  define("holdfast.cache_kb", "Most that the kept answers of one organization take.", &most_kb,
         102'400, GUC_UNIT_KB);
  define("holdfast.cache_answer_kb", "Largest answer that is kept.", &most_answer_kb, 1024,
         GUC_UNIT_KB);
}

} // namespace holdfast::cache

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_cached_call) {
  const pg::Arguments arguments(fcinfo);
  const TimestampTz now = GetCurrentTimestamp();
  cache::Found found;
  {
    pg::Spi spi;
    const auto work = [&] {
      const cache::Asked asked = cache::read_asked(arguments, now);
      organization::require(asked.organization_id);
      found = cache::find(asked, now);
    };
    // What is wrong with a question is found before anything is written, so that the others of its
    // batch need no protection from it.
    if (!arguments.boolean(15, "p_in_batch"))
      work();
    else if (const std::optional<Error> failure = pg::caught(work))
      found = cache::failed(*failure);
  }
  return cache::found_row(found, now, fcinfo);
}

HOLDFAST_FUNCTION(holdfast_keep_answer) {
  const pg::Arguments arguments(fcinfo);
  organization::require(arguments.uuid(0, "p_organization_id"));
  std::optional<Uuid> entry_id;
  {
    pg::Spi spi;
    entry_id = cache::keep(arguments, GetCurrentTimestamp());
  }
  if (entry_id) return pg::from_uuid(*entry_id);
  fcinfo->isnull = true;
  return Datum{};
}

HOLDFAST_FUNCTION(holdfast_trim_cache) {
  const pg::Arguments arguments(fcinfo);
  pg::Spi spi;
  const pg::Rows rows =
      cache::trim_entries.run(pg::Parameters()
                                  .add_int32(arguments.integer(0, "p_most"))
                                  .add_int64(cache::most_entries)
                                  .add_int64(cache::most_kb * cache::kBytesPerKb)
                                  .add(TimestampTzGetDatum(GetCurrentTimestamp())));
  return Int64GetDatum(rows[0].bigint(1));
}
