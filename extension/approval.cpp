// Approvals: asked for by a call that is too dear, given or refused by an admin, used once.
#include "extension/approval.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"
#include "extension/pg/trigger.hpp"

#include <algorithm>
#include <map>

namespace holdfast::approval {

namespace {

constexpr TimestampTz kLifetime = 24 * USECS_PER_HOUR;
constexpr std::int32_t kMostExpired = 10'000;

std::map<Uuid, Usd> kept_thresholds;
Oid thresholds_table = InvalidOid; // whose invalidation makes kept_thresholds stale
bool stale = true;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == thresholds_table || relation == InvalidOid) stale = true;
}

// One row at least, so that the table to watch is known while it is empty.
pg::Statement
    load_thresholds("SELECT t.oid, a.organization_id, a.threshold_usd"
                    " FROM (SELECT 'holdfast.approval_thresholds'::regclass::oid AS oid) t"
                    " LEFT JOIN holdfast.approval_thresholds a ON true");

constexpr Oid kInsertTypes[] = {
    UUIDOID, UUIDOID, TEXTOID,    UUIDOID,    TEXTOID,        BYTEAOID,       TEXTOID, TEXTOID,
    INT4OID, INT4OID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, TEXTOID};
pg::Statement
    insert_approval("INSERT INTO holdfast.ai_approvals AS a (organization_id, api_key_id, user_id,"
                    " workflow_id, route, fingerprint, provider, model, prompt_tokens,"
                    " completion_tokens, estimated_cost, threshold, created_at, expires_at,"
                    " request_id, correlation_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
                    " $11, $12, $13, $14, $15, $16)"
                    " ON CONFLICT DO NOTHING RETURNING a.approval_id",
                    kInsertTypes);

constexpr Oid kFindWaitingTypes[] = {UUIDOID, UUIDOID, BYTEAOID};
pg::Statement find_waiting("SELECT approval_id, estimated_cost, threshold, expires_at, workflow_id"
                           " FROM holdfast.ai_approvals WHERE organization_id = $1"
                           " AND api_key_id = $2 AND fingerprint = $3 AND status = 'waiting'"
                           " FOR NO KEY UPDATE",
                           kFindWaitingTypes);

constexpr Oid kApprovalTypes[] = {UUIDOID, UUIDOID};
pg::Statement find_approval("SELECT status, fingerprint, workflow_id, estimated_cost, threshold,"
                            " expires_at, idempotency_key, reason FROM holdfast.ai_approvals"
                            " WHERE organization_id = $1 AND approval_id = $2 FOR NO KEY UPDATE",
                            kApprovalTypes);

pg::Statement expire_approval("UPDATE holdfast.ai_approvals SET status = 'expired'"
                              " WHERE organization_id = $1 AND approval_id = $2",
                              kApprovalTypes);

constexpr Oid kLapsedTypes[] = {TIMESTAMPTZOID, INT4OID};
pg::Statement
    expire_lapsed("UPDATE holdfast.ai_approvals a SET status = 'expired' FROM ("
                  "SELECT organization_id, approval_id FROM holdfast.ai_approvals"
                  " WHERE status IN ('waiting', 'approved') AND idempotency_key IS NULL"
                  " AND expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) l"
                  " WHERE a.organization_id = l.organization_id AND a.approval_id = l.approval_id"
                  " RETURNING a.organization_id, a.approval_id",
                  kLapsedTypes);

pg::Statement find_asked("SELECT user_id, api_key_id, workflow_id, route, provider, model,"
                         " request_id, correlation_id, estimated_cost FROM holdfast.ai_approvals"
                         " WHERE organization_id = $1 AND approval_id = $2",
                         kApprovalTypes);

constexpr Oid kUseTypes[] = {UUIDOID, UUIDOID, TEXTOID};
pg::Statement use_approval("UPDATE holdfast.ai_approvals SET idempotency_key = $3"
                           " WHERE organization_id = $1 AND approval_id = $2"
                           " AND idempotency_key IS DISTINCT FROM $3",
                           kUseTypes);

constexpr Oid kDecideTypes[] = {UUIDOID, UUIDOID,        TEXTOID,       TEXTOID,
                                TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
pg::Statement decide_approval("UPDATE holdfast.ai_approvals SET status = $3, decided_by = $4,"
                              " reason = $5, decided_at = $6, expires_at = $7"
                              " WHERE organization_id = $1 AND approval_id = $2",
                              kDecideTypes);

constexpr Oid kNotifyTypes[] = {TEXTOID};
pg::Statement notify("SELECT pg_catalog.pg_notify('holdfast_approvals', $1)", kNotifyTypes);

void tell(const Uuid& organization_id, const Uuid& approval_id, const char* status) {
  notify.run(pg::Parameters().text(JsonObject()
                                       .text("organizationId", organization_id.str())
                                       .text("approvalId", approval_id.str())
                                       .text("status", status)
                                       .str()));
}

// What became of an approval, in the audit log and to those who listen. What keeps a call from
// being made is on record whether or not the organization's audit is on.
void tell_end(const Uuid& organization_id, const Uuid& approval_id, const std::string& status,
              const std::optional<std::string>& actor = {},
              const std::optional<std::string>& reason = {}) {
  const pg::Rows rows = find_asked.run(pg::Parameters().add(organization_id).add(approval_id));
  const pg::Row asked = rows[0];
  const std::string event = "approval." + status;
  audit::Entry entry;
  entry.organization_id = organization_id;
  entry.event = event.c_str();
  entry.user_id = asked.optional_text(1);
  entry.api_key_id = asked.uuid(2);
  entry.workflow_id = asked.optional_uuid(3);
  entry.route = asked.optional_text(4);
  entry.provider = asked.text(5);
  entry.model = asked.text(6);
  entry.ids = {asked.optional_uuid(7), asked.optional_text(8)};
  JsonObject detail;
  detail.text("approvalId", approval_id.str()).number("estimatedCostUSD", asked.usd(9).str());
  if (actor) detail.text("actor", *actor);
  if (reason) detail.text("reason", *reason);
  entry.detail = detail.str();
  if (status == "approved")
    audit::record(entry);
  else
    audit::record_denial(entry);
  tell(organization_id, approval_id, status.c_str());
}

std::int64_t expire(std::int32_t most, TimestampTz now) {
  const pg::Rows rows =
      expire_lapsed.run(pg::Parameters().add(TimestampTzGetDatum(now)).add_int32(most));
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    tell_end(rows[i].uuid(1), rows[i].uuid(2), "expired");
  return static_cast<std::int64_t>(rows.size());
}

const std::map<Uuid, Usd>& thresholds() {
  if (!stale) return kept_thresholds;
  std::map<Uuid, Usd> loaded;
  const pg::Rows rows = load_thresholds.run();
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    if (!rows[i].is_null(2)) loaded.emplace(rows[i].uuid(2), rows[i].usd(3));
  kept_thresholds = std::move(loaded);
  thresholds_table = DatumGetObjectId(rows[0].datum(1));
  stale = false;
  return kept_thresholds;
}

// A new approval, or nothing when the request waits for one already.
std::optional<Approval> insert(const Request& request, TimestampTz now) {
  const TimestampTz expires_at = now + kLifetime;
  pg::Parameters values;
  values.add(request.organization_id).add(request.api_key_id).text(request.user_id);
  values.add(request.workflow_id).text(request.route).add(pg::from_bytes(request.fingerprint));
  values.text(request.provider).text(request.model);
  values.add_int32(request.prompt_tokens).add_int32(request.completion_tokens);
  values.add(request.estimate).add(request.threshold);
  values.add(TimestampTzGetDatum(now)).add(TimestampTzGetDatum(expires_at));
  values.add(request.ids.request_id).text(request.ids.correlation_id);
  const pg::Rows rows = insert_approval.run(values);
  if (rows.empty()) return std::nullopt;
  const Uuid approval_id = rows[0].uuid(1);
  tell(request.organization_id, approval_id, "waiting");
  return Approval{approval_id, true, request.estimate, request.threshold, expires_at, {}};
}

// The one that the request waits for already, if it still covers it; one that does not is ended.
std::optional<Approval> find_earlier(const Request& request, TimestampTz now) {
  const pg::Rows rows = find_waiting.run(pg::Parameters()
                                             .add(request.organization_id)
                                             .add(request.api_key_id)
                                             .add(pg::from_bytes(request.fingerprint)));
  if (rows.empty()) return std::nullopt; // it was decided just now
  const pg::Row row = rows[0];
  const Approval found{row.uuid(1), true, row.usd(2), row.usd(3), DatumGetTimestampTz(row.datum(4)),
                       {}};
  const bool covers = found.expires_at > now && request.estimate <= found.estimate &&
                      row.optional_uuid(5) == request.workflow_id;
  if (covers) return found;
  expire_approval.run(pg::Parameters().add(request.organization_id).add(found.approval_id));
  tell_end(request.organization_id, found.approval_id, "expired");
  return std::nullopt;
}

std::string known_as(const Uuid& approval_id, const char* code) {
  return JsonObject().text("code", code).text("approvalId", approval_id.str()).str();
}

Error unknown(const Uuid& approval_id) {
  return not_found("The organization has no such approval.")
      .detail(JsonObject().text("approvalId", approval_id.str()).str());
}

// What an admin said of an approval.
struct Decision {
  Uuid organization_id;
  Uuid approval_id;
  bool approved = false;
  std::optional<std::string> actor;
  std::optional<std::string> reason;
};

TimestampTz decide(const Decision& decision, TimestampTz now) {
  const auto id = pg::Parameters().add(decision.organization_id).add(decision.approval_id);
  const pg::Rows rows = find_approval.run(id);
  if (rows.empty()) throw unknown(decision.approval_id);
  const std::string status = rows[0].text(1);
  TimestampTz expires_at = DatumGetTimestampTz(rows[0].datum(6));
  if (status != "waiting" || expires_at <= now)
    throw conflict("The approval waits for no decision: it is " +
                   (status == "waiting" ? "expired" : status) + ".")
        .detail(JsonObject()
                    .text("approvalId", decision.approval_id.str())
                    .text("status", status == "waiting" ? "expired" : status)
                    .str());
  const char* outcome = decision.approved ? "approved" : "refused";
  if (decision.approved) expires_at = now + kLifetime;
  decide_approval.run(pg::Parameters(id)
                          .text(outcome)
                          .text(decision.actor)
                          .text(decision.reason)
                          .add(TimestampTzGetDatum(now))
                          .add(TimestampTzGetDatum(expires_at)));
  tell_end(decision.organization_id, decision.approval_id, outcome, decision.actor,
           decision.reason);
  return expires_at;
}

Datum decide(FunctionCallInfo fcinfo, bool approved) {
  const pg::Arguments arguments(fcinfo);
  Decision decision;
  decision.approval_id = arguments.uuid(0, "p_approval_id");
  decision.organization_id = arguments.uuid(1, "p_organization_id");
  decision.approved = approved;
  decision.actor = arguments.optional_text(2, "p_actor");
  decision.reason = arguments.optional_text(3, "p_reason");
  organization::require(decision.organization_id);
  organization::require_admin(arguments.optional_text(4, "p_role"), "A call");
  TimestampTz expires_at = 0;
  {
    pg::Spi spi;
    expires_at = decide(decision, GetCurrentTimestamp());
  }
  return pg::ResultRow()
      .text(approved ? "approved" : "refused")
      .add_time(expires_at)
      .finish(fcinfo);
}

} // namespace

void start() {
  pg::on_relation_change(on_relation_change);
}

std::optional<Usd> threshold(const Uuid& organization_id, const std::optional<Usd>& above) {
  const auto own = thresholds().find(organization_id);
  if (own == thresholds().end()) return above;
  return above ? std::min(*above, own->second) : own->second;
}

Approval ask(const Request& request, TimestampTz now) {
  for (;;) { // ends: each turn that finds nothing has ended what stood in the way
    if (auto made = insert(request, now)) return *made;
    if (auto earlier = find_earlier(request, now)) return *earlier;
  }
}

Approval present(const Ticket& ticket) {
  const pg::Rows rows =
      find_approval.run(pg::Parameters().add(ticket.organization_id).add(ticket.approval_id));
  if (rows.empty()) throw unknown(ticket.approval_id);
  const pg::Row row = rows[0];
  const bool same = pg::to_bytes(row.datum(2)) == ticket.fingerprint &&
                    row.optional_uuid(3) == ticket.workflow_id;
  if (!same)
    throw conflict("The approval is for another request.")
        .detail(known_as(ticket.approval_id, "approval_mismatch"))
        .hint("Repeat the request unchanged, for the same workflow.");
  const std::string status = row.text(1);
  if (status == "refused")
    throw forbidden("The call was refused" +
                    (row.is_null(8) ? std::string(".") : ": " + row.text(8)))
        .detail(known_as(ticket.approval_id, "approval_refused"));
  Approval approval{ticket.approval_id,
                    status == "waiting",
                    row.usd(4),
                    row.usd(5),
                    DatumGetTimestampTz(row.datum(6)),
                    row.optional_text(7)};
  if (status == "expired") approval.expires_at = 0;
  return approval;
}

void require_lasting(const Approval& approval, TimestampTz now) {
  if (approval.expires_at > now) return;
  throw conflict("The approval has expired.")
      .detail(known_as(approval.approval_id, "approval_expired"))
      .hint("Send the request without it, and have it approved anew.");
}

void use(const Uuid& organization_id, const Uuid& approval_id, const std::string& key) {
  use_approval.run(pg::Parameters().add(organization_id).add(approval_id).text(key));
}

} // namespace holdfast::approval

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_approve_call) {
  return approval::decide(fcinfo, true);
}

HOLDFAST_FUNCTION(holdfast_refuse_call) {
  return approval::decide(fcinfo, false);
}

HOLDFAST_FUNCTION(holdfast_expire_approvals) {
  const pg::Arguments arguments(fcinfo);
  const std::int32_t most = arguments.integer(0, "p_most");
  if (most < 1 || most > approval::kMostExpired)
    throw bad_value("p_most is " + std::to_string(most) + ", outside 1 to 10000.");
  pg::Spi spi;
  return Int64GetDatum(approval::expire(most, GetCurrentTimestamp()));
}

// Fires after any statement that wrote thresholds: every server process then reads them anew.
HOLDFAST_FUNCTION(holdfast_approval_thresholds_changed) {
  pg::invalidate_trigger_table(fcinfo);
  return PointerGetDatum(nullptr);
}
