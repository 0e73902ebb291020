#include "extension/audit.hpp"

#include "extension/core/json_object.hpp"
#include "extension/core/redaction.hpp"
#include "extension/core/text_template.hpp"
#include "extension/organization.hpp"
#include "extension/pg/append_row.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/jsonb.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/settings.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::audit {

namespace {

int retention_days = 0;

constexpr std::size_t kMostBodyBytes = 262'144;

constexpr const char* kColumns[] = {"organization_id",
                                    "audit_id",
                                    "created_at",
                                    "event",
                                    "status",
                                    "request_id",
                                    "correlation_id",
                                    "hold_id",
                                    "workflow_id",
                                    "run_id",
                                    "step_id",
                                    "run_group",
                                    "replay_token",
                                    "user_id",
                                    "api_key_id",
                                    "route",
                                    "provider",
                                    "model",
                                    "prompt_tokens",
                                    "completion_tokens",
                                    "cost",
                                    "latency_ms",
                                    "fallback_used",
                                    "routing",
                                    "detail",
                                    "request_body",
                                    "response_body"};
pg::AppendTable log_table("holdfast", "ai_audit_log", kColumns,
                          pg::AppendTable::Partitions::by_month);

// For a log to which a user has added triggers or columns.
constexpr Oid kInsertTypes[] = {
    UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, INT4OID, UUIDOID,  TEXTOID,  UUIDOID, UUIDOID,
    UUIDOID, TEXTOID, UUIDOID,        UUIDOID, TEXTOID, UUIDOID,  TEXTOID,  TEXTOID, TEXTOID,
    INT4OID, INT4OID, NUMERICOID,     INT4OID, BOOLOID, JSONBOID, JSONBOID, TEXTOID, TEXTOID};
pg::Statement insert_row(
    "INSERT INTO holdfast.ai_audit_log (organization_id, audit_id, created_at, event, status,"
    " request_id, correlation_id, hold_id, workflow_id, run_id, step_id, run_group, replay_token,"
    " user_id, api_key_id, route, provider, model, prompt_tokens, completion_tokens, cost,"
    " latency_ms, fallback_used, routing, detail, request_body, response_body)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
    " $19, $20, $21, $22, $23, $24, $25, $26, $27)",
    kInsertTypes);

// --- the settings of organizations
// ------------------------------------------------------------------

enum class Bodies { off, redacted, full };

// What an organization has that has no row.
struct Setting {
  bool enabled = true;
  Bodies bodies = Bodies::off;
};

Bodies bodies_named(const std::string& name) {
  if (name == "full") return Bodies::full;
  return name == "redacted" ? Bodies::redacted : Bodies::off;
}

std::map<Uuid, Setting> kept_settings;
Oid settings_table = InvalidOid; // whose invalidation makes kept_settings stale
bool stale = true;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == settings_table || relation == InvalidOid) stale = true;
}

pg::Statement find_table("SELECT 'holdfast.audit_settings'::regclass::oid");
pg::Statement load_settings("SELECT organization_id, enabled, bodies FROM holdfast.audit_settings");

Setting setting_of(const Uuid& organization_id) {
  if (stale) {
    settings_table = DatumGetObjectId(find_table.query()[0].datum(1));
    stale = false; // a change that comes while they are read is not missed
    struct Reading {
      bool is_done = false;
      ~Reading() {
        if (!is_done) stale = true;
      }
    } reading;
    std::map<Uuid, Setting> loaded;
    const pg::Rows rows = load_settings.run();
    for (std::uint64_t i = 0; i < rows.size(); ++i)
      loaded[rows[i].uuid(1)] = {rows[i].boolean(2), bodies_named(rows[i].text(3))};
    kept_settings = std::move(loaded);
    reading.is_done = true;
  }
  const auto found = kept_settings.find(organization_id);
  return found == kept_settings.end() ? Setting() : found->second;
}

// --- rows
// ------------------------------------------------------------------------------------------------

pg::Parameters columns_of(const Entry& entry, TimestampTz now) {
  const auto add_count = [](pg::Parameters& columns, const std::optional<std::int64_t>& count) {
    if (count)
      columns.add_int32(static_cast<std::int32_t>(std::min<std::int64_t>(*count, PG_INT32_MAX)));
    else
      columns.null();
  };
  const bool is_its_own =
      entry.ids.request_id &&
      (!entry.ids.correlation_id || entry.ids.request_id->str() == *entry.ids.correlation_id);
  pg::Parameters columns;
  columns.add(entry.organization_id)
      .add(pg::new_uuid(now))
      .add(TimestampTzGetDatum(now))
      .text(entry.event);
  add_count(columns, entry.status);
  columns.add(is_its_own ? std::nullopt : entry.ids.request_id)
      .text(is_its_own ? std::optional(entry.ids.request_id->str()) : entry.ids.correlation_id)
      .add(entry.hold_id)
      .add(entry.workflow_id)
      .add(entry.run_id)
      .text(entry.step_id)
      .add(entry.run_group)
      .add(entry.replay_token)
      .text(entry.user_id)
      .add(entry.api_key_id)
      .text(entry.route)
      .text(entry.provider)
      .text(entry.model);
  add_count(columns, entry.prompt_tokens);
  add_count(columns, entry.completion_tokens);
  columns.add(entry.cost);
  add_count(columns, entry.latency_ms);
  if (entry.fallback_used)
    columns.add_bool(*entry.fallback_used);
  else
    columns.null();
  if (entry.routing)
    columns.add(*entry.routing);
  else
    columns.null();
  if (entry.detail)
    columns.add(pg::from_jsonb_text(*entry.detail));
  else
    columns.null();
  return columns.text(entry.request_body).text(entry.response_body);
}

// A body as the organization keeps it.
void fit(std::optional<std::string>& body, Bodies as) {
  if (!body) return;
  if (as == Bodies::off) {
    body.reset();
    return;
  }
  if (as == Bodies::redacted) *body = redacted(*body);
  if (body->size() > kMostBodyBytes) *body = clipped(*body, kMostBodyBytes);
}

// Rows of one process are in the order in which they were written.
TimestampTz next_moment() {
  static TimestampTz last = 0;
  last = std::max(GetCurrentTimestamp(), last + 1);
  return last;
}

void append(const Entry& entry) {
  const TimestampTz now = next_moment();
  const pg::Parameters columns = columns_of(entry, now);
  pg::AppendedRows rows(log_table.at(now));
  if (rows.suffices())
    rows.add(columns);
  else
    insert_row.run(columns);
}

} // namespace

void start() {
  log_table.watch();
  pg::on_relation_change(on_relation_change);
  pg::define({"holdfast.audit_retention_days",
              "Months of ai_audit_log that ended so long ago are dropped; 0 keeps all.",
              &retention_days, 365, 0, 36'500});
}

void record(const Entry& entry) {
  if (setting_of(entry.organization_id).enabled) append(entry);
}

void record_denial(const Entry& entry) {
  append(entry);
}

bool keeps_bodies(const Uuid& organization_id) {
  const Setting setting = setting_of(organization_id);
  return setting.enabled && setting.bodies != Bodies::off;
}

void record(Entry entry, Datum metadata) {
  const bool is_wanted = pg::truth_if_any(metadata, "audit").value_or(true);
  const Setting setting = setting_of(entry.organization_id);
  if (!is_wanted || !setting.enabled) return;
  fit(entry.request_body, setting.bodies);
  fit(entry.response_body, setting.bodies);
  if (const std::optional<std::string> id = pg::text_if_any(metadata, "requestId"))
    entry.ids.request_id = parse_uuid(*id);
  entry.ids.correlation_id = pg::text_if_any(metadata, "correlationId");
  entry.route = pg::text_if_any(metadata, "route");
  entry.routing = pg::nested_if_any(metadata, "routing");
  if (const auto failed = pg::nested_text_if_any(metadata, "failedAttempts"))
    entry.detail = "{\"failedAttempts\":" + *failed + "}";
  append(entry);
}

} // namespace holdfast::audit

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_audit_settings_changed) {
  pg::invalidate_trigger_table(fcinfo);
  return PointerGetDatum(nullptr);
}

HOLDFAST_FUNCTION(holdfast_record_refusal) {
  const pg::Arguments arguments(fcinfo);
  audit::Entry entry;
  entry.organization_id = arguments.uuid(0, "p_organization_id");
  entry.event = "refused";
  entry.status = arguments.integer(2, "p_status");
  entry.detail = JsonObject().text("code", arguments.text(3, "p_code")).str();
  entry.ids.request_id = arguments.optional_uuid(4);
  entry.ids.correlation_id = arguments.optional_text(5, "p_correlation_id");
  entry.route = arguments.optional_text(6, "p_route");
  entry.provider = arguments.optional_text(7, "p_provider");
  entry.model = arguments.optional_text(8, "p_model");
  entry.user_id = arguments.optional_text(9, "p_user_id");
  entry.workflow_id = arguments.optional_uuid(10);
  organization::require(entry.organization_id);
  pg::Spi spi;
  const organization::Key key = organization::authenticate(
      entry.organization_id, pg::to_bytes(arguments.required(1, "p_key_hash")));
  entry.api_key_id = key.api_key_id;
  if (!entry.user_id) entry.user_id = key.user_id;
  audit::record_denial(entry);
  return BoolGetDatum(true);
}
