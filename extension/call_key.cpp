#include "extension/call_key.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::call_key {
namespace {

constexpr Oid kClaimTypes[] = {UUIDOID, TEXTOID, BYTEAOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement claim_key("INSERT INTO holdfast.idempotent_calls"
                        " (organization_id, idempotency_key, fingerprint, hold_id, created_at)"
                        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                        kClaimTypes);

constexpr Oid kFindCallTypes[] = {UUIDOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, UUIDOID};
pg::Statement
    find_call("SELECT c.fingerprint = $3, c.answer_status, c.answer,"
              " coalesce((SELECT h.status = 'open' AND h.expires_at > $4 FROM holdfast.holds h"
              "           WHERE h.organization_id = $1 AND h.hold_id = c.hold_id), false),"
              " (SELECT l.cost FROM holdfast.ai_usage_ledger l"
              "  WHERE l.organization_id = $1 AND l.id = c.hold_id), c.hold_id = $5"
              " FROM holdfast.idempotent_calls c"
              " WHERE c.organization_id = $1 AND c.idempotency_key = $2 FOR UPDATE OF c",
              kFindCallTypes);

constexpr Oid kTakeOverTypes[] = {UUIDOID, TEXTOID, UUIDOID};
pg::Statement take_over("UPDATE holdfast.idempotent_calls SET hold_id = $3"
                        " WHERE organization_id = $1 AND idempotency_key = $2",
                        kTakeOverTypes);

constexpr Oid kForgetTypes[] = {UUIDOID, TEXTOID, UUIDOID};
pg::Statement forget_key("DELETE FROM holdfast.idempotent_calls WHERE organization_id = $1"
                         " AND idempotency_key = $2 AND hold_id = $3 AND answer_status IS NULL",
                         kForgetTypes);

constexpr Oid kAnswerTypes[] = {UUIDOID, TEXTOID, UUIDOID, INT4OID, TEXTOID};
pg::Statement save_answer("UPDATE holdfast.idempotent_calls SET answer_status = $4, answer = $5"
                          " WHERE organization_id = $1 AND idempotency_key = $2 AND hold_id = $3",
                          kAnswerTypes);

constexpr Oid kMoveKeyTypes[] = {UUIDOID, TEXTOID, UUIDOID, UUIDOID};
pg::Statement move_key("UPDATE holdfast.idempotent_calls SET hold_id = $4"
                       " WHERE organization_id = $1 AND idempotency_key = $2 AND hold_id = $3",
                       kMoveKeyTypes);

pg::Parameters of(const Key& key) {
  pg::Parameters parameters;
  parameters.add(key.organization_id).text(key.name);
  return parameters;
}

} // namespace

std::optional<Earlier> claim(const Key& key, const std::string& fingerprint, const Uuid& hold_id,
                             TimestampTz now) {
  const Datum print = pg::from_bytes(fingerprint);
  const Datum time = TimestampTzGetDatum(now);
  if (claim_key.run(of(key).add(print).add(hold_id).add(time)).size() == 1) return std::nullopt;
  const pg::Rows rows = find_call.run(of(key).add(print).add(time).add(hold_id));
  if (rows.empty()) return claim(key, fingerprint, hold_id, now); // it was forgotten just now
  const pg::Row row = rows[0];
  if (!row.boolean(1))
    throw conflict("The Idempotency-Key was used before with another request.")
        .detail(JsonObject().text("idempotencyKey", key.name).str())
        .hint("Repeat the request unchanged, or use a new key.");
  if (row.boolean(6)) return std::nullopt; // the same call, asked for again
  Earlier earlier;
  if (!row.is_null(2)) {
    earlier.answer_status = row.integer(2);
    earlier.answer = row.optional_text(3);
    earlier.cost = row.optional_usd(5);
    return earlier;
  }
  if (row.boolean(4)) {
    earlier.in_flight = true;
    return earlier;
  }
  take_over.run(of(key).add(hold_id));
  return std::nullopt;
}

void forget(const Key& key, const Uuid& hold_id) {
  forget_key.run(of(key).add(hold_id));
}

void keep_answer(const Key& key, const Uuid& hold_id, std::int32_t status, Datum answer) {
  save_answer.run(of(key).add(hold_id).add_int32(status).add(answer));
}

void move(const Key& key, const Uuid& hold_id, const Uuid& new_hold_id) {
  move_key.run(of(key).add(hold_id).add(new_hold_id));
}

} // namespace holdfast::call_key
