// Batches: one definition over many inputs, under one hold. Whoever changes a batch locks its row
// first, then rows of its runs, then holds, then counters. Workers lock no row of a batch, and take
// nothing from its hold: the runs' parts are divided off and put back here.
#include "extension/run_start.hpp"

#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/notify.hpp"
#include "extension/pg/spi.hpp"

#include <algorithm>
#include <map>
#include <set>

using namespace holdfast;

namespace {

constexpr std::size_t kMostInputs = 10'000;
constexpr std::int32_t kMostActive = 100;
constexpr std::int32_t kMostBegun = 1'000; // by one call
// A batch's hold lives on while somebody looks after it.
constexpr std::int64_t kHoldLifeUs = 24 * USECS_PER_HOUR;
// What is about to run out is left alone: another session may be deciding that it has.
constexpr std::int64_t kSafeUs = USECS_PER_MINUTE;

constexpr Oid kRepeatedTypes[] = {UUIDOID, TEXTOID, TEXTOID};
pg::Statement find_repeated("SELECT batch_id, status, inputs,"
                            " fingerprint = sha256(convert_to($3, 'UTF8'))"
                            " FROM holdfast.workflow_run_batches"
                            " WHERE organization_id = $1 AND idempotency_key = $2",
                            kRepeatedTypes);

constexpr Oid kInsertTypes[] = {UUIDOID,    UUIDOID, UUIDOID,    TEXTOID,       TEXTOID,
                                TEXTOID,    INT4OID, INT4OID,    TEXTOID,       UUIDOID,
                                UUIDOID,    TEXTOID, TEXTOID,    TEXTOID,       TEXTOID,
                                NUMERICOID, INT8OID, NUMERICOID, TIMESTAMPTZOID};
pg::Statement insert_batch(
    "INSERT INTO holdfast.workflow_run_batches (organization_id, batch_id, workflow_id, name,"
    " version, definition, inputs, most_active, user_id, api_key_id, community_id, tool,"
    " idempotency_key, fingerprint, status, run_max_cost, run_timeout_ms, max_cost, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12, $13,"
    " CASE WHEN $13 IS NOT NULL THEN sha256(convert_to($14, 'UTF8')) END, $15, $16, $17, $18, $19)"
    " ON CONFLICT DO NOTHING",
    kInsertTypes);

constexpr Oid kInputsTypes[] = {UUIDOID, UUIDOID, JSONBOID};
constexpr Oid kJsonTypes[] = {JSONBOID};
pg::Statement text_of("SELECT $1::text", kJsonTypes);
pg::Statement insert_inputs("INSERT INTO holdfast.workflow_run_batch_inputs"
                            " (organization_id, batch_id, input_no, input)"
                            " SELECT $1, $2, e.no, e.input"
                            " FROM jsonb_array_elements($3) WITH ORDINALITY e(input, no)",
                            kInputsTypes);

constexpr Oid kMostTypes[] = {INT4OID};
pg::Statement find_batches("SELECT organization_id, batch_id FROM holdfast.workflow_run_batches"
                           " WHERE ended_at IS NULL ORDER BY created_at LIMIT $1"
                           " FOR NO KEY UPDATE SKIP LOCKED",
                           kMostTypes);

constexpr Oid kIdTypes[] = {UUIDOID, UUIDOID};
pg::Statement
    lock_batch("SELECT status, definition::text, inputs, next_input, most_active, user_id,"
               " api_key_id, community_id, tool, workflow_id, ended_at IS NOT NULL, run_max_cost,"
               " run_timeout_ms"
               " FROM holdfast.workflow_run_batches"
               " WHERE organization_id = $1 AND batch_id = $2 FOR NO KEY UPDATE",
               kIdTypes);
pg::Statement count_active(
    "SELECT count(*), EXISTS (SELECT FROM holdfast.workflow_runs WHERE organization_id = $1"
    "                         AND batch_id = $2 AND rest_is_due)"
    " FROM holdfast.workflow_runs WHERE organization_id = $1 AND batch_id = $2"
    " AND ended_at IS NULL",
    kIdTypes);
pg::Statement find_active("SELECT run_id FROM holdfast.workflow_runs WHERE organization_id = $1"
                          " AND batch_id = $2 AND batch_id IS NOT NULL AND ended_at IS NULL"
                          " ORDER BY run_id",
                          kIdTypes);
// Of runs that another session is at, next time; when the batch ends, all.
#define HOLDFAST_TAKE_RESTS(lock)                                                                  \
  "UPDATE holdfast.workflow_runs r SET rest_is_due = false,"                                       \
  " rest = greatest(r.max_cost - r.drawn, 0)"                                                      \
  " FROM (SELECT organization_id, run_id FROM holdfast.workflow_runs"                              \
  "       WHERE organization_id = $1 AND batch_id = $2 AND rest_is_due"                            \
  "       ORDER BY run_id " lock ") due"                                                           \
  " WHERE r.organization_id = due.organization_id AND r.run_id = due.run_id RETURNING r.run_id, "  \
  "r.rest"
pg::Statement take_rests(HOLDFAST_TAKE_RESTS("FOR NO KEY UPDATE SKIP LOCKED"), kIdTypes);
pg::Statement take_all_rests(HOLDFAST_TAKE_RESTS("FOR NO KEY UPDATE"), kIdTypes);
#undef HOLDFAST_TAKE_RESTS

pg::Statement lock_hold("SELECT FROM holdfast.holds WHERE organization_id = $1 AND hold_id = $2"
                        " FOR NO KEY UPDATE",
                        kIdTypes);
constexpr Oid kOpenTypes[] = {UUIDOID, UUIDOID, TIMESTAMPTZOID};
pg::Statement find_open("SELECT amount, expires_at FROM holdfast.holds WHERE organization_id = $1"
                        " AND hold_id = $2 AND status::text = 'open' AND expires_at > $3"
                        " FOR NO KEY UPDATE",
                        kOpenTypes);
constexpr Oid kChangeTypes[] = {UUIDOID, UUIDOID, NUMERICOID};
pg::Statement change_amount("UPDATE holdfast.holds SET amount = amount + $3"
                            " WHERE organization_id = $1 AND hold_id = $2",
                            kChangeTypes);
pg::Statement store_rest("UPDATE holdfast.workflow_runs SET rest = $3"
                         " WHERE organization_id = $1 AND run_id = $2",
                         kChangeTypes);
constexpr Oid kDivideTypes[] = {UUIDOID,    UUIDOID,        UUIDOID,
                                NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
pg::Statement divide_hold(
    "INSERT INTO holdfast.holds (organization_id, hold_id, workflow_id, amount, created_at,"
    " expires_at, user_id, api_key_id, budget_ids, period_starts, slots, community_id, tool)"
    " SELECT organization_id, $3, workflow_id, $4, $5, $6, user_id, api_key_id, budget_ids,"
    " period_starts, slots, community_id, tool"
    " FROM holdfast.holds WHERE organization_id = $1 AND hold_id = $2",
    kDivideTypes);
pg::Statement extend_hold("SELECT holdfast.extend_hold($2, $1, '24 hours')", kIdTypes);

constexpr Oid kInputTypes[] = {UUIDOID, UUIDOID, INT4OID};
pg::Statement find_input("SELECT input::text FROM holdfast.workflow_run_batch_inputs"
                         " WHERE organization_id = $1 AND batch_id = $2 AND input_no = $3",
                         kInputTypes);
constexpr Oid kStoreTypes[] = {UUIDOID, UUIDOID, INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
pg::Statement store_batch("UPDATE holdfast.workflow_run_batches SET next_input = $3, status = $4,"
                          " error = nullif($5, '')::jsonb, ended_at = CASE WHEN $4 <> 'running'"
                          " THEN $6 END WHERE organization_id = $1 AND batch_id = $2",
                          kStoreTypes);
pg::Statement forget_key("UPDATE holdfast.workflow_run_batches SET idempotency_key = NULL"
                         " WHERE organization_id = $1 AND batch_id = $2",
                         kIdTypes);

// What start_run_batch() is asked for, as the start of a run without its input.
struct Order {
  run::Start start;
  Datum inputs{};
  std::int32_t count = 0;
  std::optional<Usd> max_cost;
  std::int32_t most_active = 0;
};

struct Begun {
  Uuid batch_id;
  std::string status;
  std::int32_t inputs = 0;
  bool duplicate = false;
  bool limited = false;
  std::optional<budget::Figures> refused;
  rate_limit::Decision rate;
};

// A batch under its lock.
struct Batch {
  Uuid batch_id;
  std::string status;
  std::string definition;
  RunDefinition parsed;
  budget::Subject subject;
  std::optional<Uuid> workflow_id;
  std::int32_t inputs = 0;
  std::int32_t next_input = 0;
  std::int32_t most_active = 0;
  Usd run_max_cost;
  std::int64_t run_timeout_ms = 0;
  std::string error;
  bool ended = false;

  const Uuid& organization_id() const { return subject.organization_id; }
  bool costs() const { return !run_max_cost.is_zero(); } // else there is no hold
  pg::Parameters ids() const { return pg::Parameters().add(organization_id()).add(batch_id); }
};

// --- beginning a batch --------------------------------------------------------------------------

Error bad_input(std::size_t number, const std::string& what, const std::string& hint = "") {
  Error error = bad_value("Input " + std::to_string(number) + ": " + what);
  error.detail(
      JsonObject().text("field", "p_inputs").number("input", static_cast<long long>(number)).str());
  return hint.empty() ? error : error.hint(hint);
}

// Every input is one that a run of the definition takes. Throws Error PT400 naming the first that
// is not.
std::int32_t check_inputs(const RunDefinition& definition, const std::string& json) {
  const std::optional<JsonValue> list = JsonValue::parse(json);
  if (!list || !list->is(JsonValue::Kind::array) || list->items.empty() ||
      list->items.size() > kMostInputs)
    throw bad_value("p_inputs is no JSON array of 1 to 10000 objects.")
        .detail(JsonObject().text("field", "p_inputs").str());
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const JsonValue& input = list->items[i];
    if (!input.is(JsonValue::Kind::object)) throw bad_input(i + 1, "It is no JSON object.");
    if (input.str().size() > run::kMostInputBytes)
      throw bad_input(i + 1, "It is longer than 256 KB.");
    const std::optional<Error> fault = pg::caught([&] { check_input(definition, input); });
    if (fault) throw bad_input(i + 1, fault->message(), fault->hint());
  }
  return static_cast<std::int32_t>(list->items.size());
}

Usd times(Usd amount, std::int32_t count) {
  return Usd::from_units(amount.units() * count);
}

// The most that the batch may cost: one run's at least.
Usd cost_of(const Order& order, const RunDefinition& definition) {
  const Usd whole = times(definition.most_cost, order.count);
  if (!order.max_cost) return whole;
  if (*order.max_cost < definition.most_cost || *order.max_cost > Usd::most_given())
    throw bad_value("p_max_cost is " + order.max_cost->str() + ", less than one run may cost.")
        .detail(JsonObject()
                    .text("field", "p_max_cost")
                    .number("runUSD", definition.most_cost.str())
                    .str())
        .hint("Give more, or lower the definition's settings.maxTotalCost.");
  return std::min(*order.max_cost, whole);
}

// What a repeat under the same key has to be the same in.
std::string fingerprint(const Order& order) {
  return order.start.asked + '\n' + order.start.input + '\n' +
         order.start.run.subject.user_id.value_or("") + '\n' +
         (order.max_cost ? order.max_cost->str() : "");
}

std::optional<Begun> repeated(const Order& order) {
  if (!order.start.key) return std::nullopt;
  const pg::Rows rows = find_repeated.run(pg::Parameters()
                                              .add(order.start.run.organization_id())
                                              .text(order.start.key)
                                              .text(fingerprint(order)));
  if (rows.empty()) return std::nullopt;
  if (!rows[0].boolean(4))
    throw conflict("The idempotency key was used before with another batch.")
        .detail(JsonObject().text("idempotencyKey", *order.start.key).str())
        .hint("Repeat the request unchanged, or use a new key.");
  Begun earlier;
  earlier.batch_id = rows[0].uuid(1);
  earlier.status = rows[0].text(2);
  earlier.inputs = rows[0].integer(3);
  earlier.duplicate = true;
  return earlier;
}

bool insert(const Order& order, const RunDefinition& definition, const Uuid& batch_id, Usd max_cost,
            TimestampTz now) {
  const budget::Subject& subject = order.start.run.subject;
  return insert_batch
             .run(pg::Parameters()
                      .add(subject.organization_id)
                      .add(batch_id)
                      .add(order.start.workflow_id)
                      .text(definition.name)
                      .text(definition.version)
                      .text(order.start.definition)
                      .add_int32(order.count)
                      .add_int32(order.most_active)
                      .text(subject.user_id)
                      .add(subject.api_key_id)
                      .add(subject.community_id)
                      .text(subject.tool)
                      .text(order.start.key)
                      .text(fingerprint(order))
                      .text("running")
                      .add(definition.most_cost)
                      .add_int64(definition.timeout_ms)
                      .add(max_cost)
                      .add(TimestampTzGetDatum(now)))
             .size() == 1;
}

void store(const Batch& batch, TimestampTz now) {
  store_batch.run(batch.ids()
                      .add_int32(batch.next_input)
                      .text(batch.status)
                      .text(batch.error)
                      .add(TimestampTzGetDatum(now)));
  pg::notify("holdfast_runs", batch.batch_id.str());
}

// On record as failed, with nothing held and nothing to repeat.
void refuse(const Order& order, const Uuid& batch_id, const budget::Figures& figures,
            TimestampTz now) {
  Batch batch;
  batch.batch_id = batch_id;
  batch.subject = order.start.run.subject;
  batch.next_input = 1;
  batch.status = "failed";
  batch.error = step_error("budget_exceeded", "The budget of scope " + figures.scope +
                                                  " does not hold what the batch can cost.");
  store(batch, now);
  forget_key.run(batch.ids());
}

Begun begin(Order& order, TimestampTz now) {
  order.start.input = text_of.run(pg::Parameters().add(order.inputs))[0].text(1);
  run::find_definition_of(order.start);
  const budget::Subject& subject = order.start.run.subject;
  budget::pin_budgets(subject.organization_id);
  if (std::optional<Begun> earlier = repeated(order)) {
    earlier->rate = run::count(order.start, true);
    earlier->limited = !earlier->rate.allowed;
    return *earlier;
  }
  const RunDefinition definition = parse_definition(order.start.definition, run::limits());
  order.count = check_inputs(definition, order.start.input);
  const Usd max_cost = cost_of(order, definition);
  Begun begun;
  begun.rate = run::count(order.start, false);
  begun.limited = !begun.rate.allowed;
  if (begun.limited) return begun;
  begun.batch_id = pg::new_uuid();
  begun.inputs = order.count;
  begun.status = "running";
  // The key is claimed first, as a run's is.
  if (!insert(order, definition, begun.batch_id, max_cost, now)) return repeated(order).value();
  budget::HoldRequest hold;
  hold.subject = subject;
  hold.idempotency_key = begun.batch_id;
  hold.amount = max_cost;
  hold.expires_at = now + kHoldLifeUs;
  if (!max_cost.is_zero()) { // else there is nothing to ask any budget for
    const budget::HoldResult taken = budget::take_hold(hold, now);
    if (!taken.reservation.granted) {
      begun.refused = taken.reservation.figures;
      begun.status = "failed";
      refuse(order, begun.batch_id, *begun.refused, now);
      return begun;
    }
  }
  insert_inputs.run(
      pg::Parameters().add(subject.organization_id).add(begun.batch_id).add(order.inputs));
  pg::notify("holdfast_steps", "");
  return begun;
}

Order read_order(const pg::Arguments& arguments) {
  Order order;
  run::Start& start = order.start;
  budget::Subject& subject = start.run.subject;
  subject.organization_id = arguments.uuid(0, "p_organization_id");
  order.inputs = arguments.required(1, "p_inputs");
  start.workflow_id = arguments.optional_uuid(2);
  start.name = arguments.optional_text(3, "p_name");
  if (!arguments.is_null(4))
    start.definition = pg::json_object_text(arguments.required(4, "p_definition"), "p_definition");
  start.asked = start.workflow_id ? start.workflow_id->str() : start.name.value_or("");
  if (!start.definition.empty()) {
    start.asked = start.definition;
    start.workflow_id.reset();
  }
  subject.user_id = arguments.optional_text(5, "p_user_id");
  start.key = arguments.optional_text(6, "p_idempotency_key");
  subject.api_key_id = arguments.optional_uuid(7);
  subject.community_id = arguments.optional_uuid(8);
  subject.tool = arguments.optional_text(9, "p_tool");
  order.max_cost = arguments.optional_usd(10, "p_max_cost");
  order.most_active = arguments.integer(11, "p_most_active");
  if (order.most_active < 1 || order.most_active > kMostActive)
    throw bad_value("p_most_active is " + std::to_string(order.most_active) + ", outside 1 to 100.")
        .detail(JsonObject().text("field", "p_most_active").str());
  if (!arguments.is_null(12)) start.ip = arguments.required(12, "p_ip");
  start.route = arguments.optional_text(13, "p_route");
  return order;
}

// --- looking after batches ----------------------------------------------------------------------

Batch load(const Uuid& organization_id, const Uuid& batch_id) {
  const pg::Rows rows = lock_batch.run(pg::Parameters().add(organization_id).add(batch_id));
  if (rows.empty())
    throw not_found("The organization has no batch " + batch_id.str() + ".")
        .detail(JsonObject().text("batchId", batch_id.str()).str());
  const pg::Row row = rows[0];
  Batch batch;
  batch.batch_id = batch_id;
  batch.subject.organization_id = organization_id;
  batch.status = row.text(1);
  batch.definition = row.text(2);
  batch.inputs = row.integer(3);
  batch.next_input = row.integer(4);
  batch.most_active = row.integer(5);
  batch.subject.user_id = row.optional_text(6);
  batch.subject.api_key_id = row.optional_uuid(7);
  batch.subject.community_id = row.optional_uuid(8);
  batch.subject.tool = row.optional_text(9);
  batch.workflow_id = row.optional_uuid(10);
  batch.ended = row.boolean(11);
  batch.run_max_cost = row.usd(12);
  batch.run_timeout_ms = row.bigint(13);
  return batch;
}

// Ends the part of the batch's hold that a run had, and returns what of it goes back there. What an
// attempt has cost above its own part stays with the run: the counters have it as spent already.
Usd take_back(const Batch& batch, const Uuid& run_id, Usd rest, TimestampTz now) {
  std::optional<budget::EndedHold> part =
      budget::end_hold(batch.organization_id(), run_id, budget::Ending::released, now);
  if (!part) return {}; // it has run out
  rest = std::min(rest, part->amount);
  part->amount -= rest;
  if (part->amount.is_zero()) return rest;
  std::vector<budget::Move> moves;
  budget::add_release_moves(*part, moves);
  budget::apply(moves, now);
  return rest;
}

// What the batch's hold has, with what came back from runs that have ended; nullopt when it has run
// out.
std::optional<Usd> collect_rests(const Batch& batch, pg::Statement& take, TimestampTz now) {
  budget::pin_budgets(batch.organization_id());
  std::map<Uuid, Usd> rests;
  const pg::Rows due = take.run(batch.ids());
  for (std::uint64_t i = 0; i < due.size(); ++i)
    rests.emplace(due[i].uuid(1), due[i].usd(2));
  std::set<Uuid> all = {batch.batch_id}; // in the order in which every session locks holds
  for (const auto& [run_id, rest] : rests)
    all.insert(run_id);
  for (const Uuid& id : all)
    lock_hold.run(pg::Parameters().add(batch.organization_id()).add(id));
  const pg::Rows open = find_open.run(batch.ids().add(TimestampTzGetDatum(now + kSafeUs)));
  const bool is_open = !open.empty();
  Usd back;
  for (const auto& [run_id, rest] : rests) {
    const Usd taken = take_back(batch, run_id, is_open ? rest : Usd(), now);
    back += taken;
    if (taken == rest) continue;
    store_rest.run(pg::Parameters().add(batch.organization_id()).add(run_id).add(taken));
  }
  if (!is_open) return std::nullopt;
  if (!back.is_zero()) change_amount.run(batch.ids().add(back));
  if (DatumGetTimestampTz(open[0].datum(2)) < now + kHoldLifeUs / 2) extend_hold.run(batch.ids());
  return open[0].usd(1) + back;
}

// Ends the batch and gives back what nothing holds any more.
void end_batch(Batch& batch, const char* status, const std::string& error, TimestampTz now) {
  batch.status = status;
  batch.error = error;
  if (!batch.costs()) return;
  budget::pin_budgets(batch.organization_id());
  budget::release(batch.organization_id(), batch.batch_id, now); // unless it has run out
}

// A part of the batch's hold becomes the run's.
void divide(const Batch& batch, const run::Run& run, TimestampTz now) {
  const TimestampTz expires_at =
      *run.deadline + run::kGraceUs + run.definition.approvals() * run::kApprovalUs;
  divide_hold.run(batch.ids()
                      .add(run.hold_id)
                      .add(run.max_cost)
                      .add(TimestampTzGetDatum(now))
                      .add(TimestampTzGetDatum(expires_at)));
  change_amount.run(batch.ids().add(-run.max_cost));
}

// Begins the run of the batch's next input, under a part of its hold.
void begin_next(Batch& batch, TimestampTz now) {
  run::Start start;
  run::Run& run = start.run;
  run.subject = batch.subject;
  run.definition = batch.parsed;
  run.state.definition = &run.definition;
  start.workflow_id = batch.workflow_id;
  start.definition = batch.definition;
  start.input = find_input.run(batch.ids().add_int32(batch.next_input))[0].text(1);
  run.state.input = JsonValue::parse(start.input).value_or(JsonValue());
  run.run_id = pg::new_uuid();
  run.hold_id = run.run_id;
  run.split_key = run.run_id.str();
  run.max_cost = batch.run_max_cost;
  run.deadline = now + batch.run_timeout_ms * 1000;
  run.batch_id = batch.batch_id;
  run.batch_no = batch.next_input;
  run.has_hold = !run.max_cost.is_zero();
  if (run.has_hold) divide(batch, run, now);
  run::insert(start, now);
  run::begin_steps(run);
  run::tell(run, "run.started", std::nullopt,
            JsonObject()
                .text("name", run.definition.name)
                .text("batchId", batch.batch_id.str())
                .number("maxCostUSD", run.max_cost.str())
                .str());
  run::move_on(run, now);
  ++batch.next_input;
}

// Begins what there is room and money for, at most `most`, and ends what is done. Returns how many
// were begun.
std::int32_t tend(Batch& batch, std::int32_t most, TimestampTz now) {
  const std::optional<Usd> held = batch.costs() ? collect_rests(batch, take_rests, now) : Usd();
  const pg::Row at_work = count_active.run(batch.ids())[0];
  const auto active = static_cast<std::int32_t>(at_work.bigint(1));
  const bool is_idle = active == 0 && !at_work.boolean(2);
  const bool is_done = batch.next_input > batch.inputs;
  const std::int32_t begun_before = batch.next_input;
  if (!held) { // what goes on has holds of its own, and is let end
    if (is_idle)
      end_batch(batch, "failed",
                step_error("hold_expired", "Nobody looked after the batch for a day."), now);
  } else if (is_done && is_idle) {
    end_batch(batch, "completed", "", now);
  } else if (!is_done) {
    batch.parsed = parse_definition(batch.definition, run::no_limits());
    Usd left = *held;
    std::int32_t room = std::min(batch.most_active - active, most);
    for (; room > 0 && batch.next_input <= batch.inputs && left >= batch.run_max_cost; --room) {
      left -= batch.run_max_cost;
      begin_next(batch, now);
    }
    if (is_idle && batch.next_input == begun_before && most > 0)
      end_batch(batch, "failed",
                step_error("budget_exceeded", "What is left does not hold another run."), now);
  }
  const std::int32_t begun = batch.next_input - begun_before;
  if (begun > 0 || batch.status != "running") store(batch, now);
  return begun;
}

std::int32_t tend_all(std::int32_t most, TimestampTz now) {
  const pg::Rows rows = find_batches.run(pg::Parameters().add_int32(kMostBegun));
  std::int32_t begun = 0;
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    Batch batch = load(rows[i].uuid(1), rows[i].uuid(2));
    begun += tend(batch, most - begun, now);
  }
  return begun;
}

// Cancels what has not ended. Its calls under way are settled as those of any cancelled run.
Batch cancel(const Uuid& organization_id, const Uuid& batch_id, const std::string& error,
             TimestampTz now) {
  Batch batch = load(organization_id, batch_id);
  if (batch.status == "cancelled") return batch;
  if (batch.ended)
    throw conflict("Batch " + batch_id.str() + " has ended: it is " + batch.status + ".")
        .detail(JsonObject().text("batchId", batch_id.str()).text("status", batch.status).str());
  const pg::Rows active = find_active.run(batch.ids());
  for (std::uint64_t i = 0; i < active.size(); ++i) {
    run::Run run;
    run::load(organization_id, active[i].uuid(1), run);
    if (run.ended) continue;
    run::end_run(run, "cancelled", error, now);
    run::store(run, now);
  }
  if (batch.costs()) collect_rests(batch, take_all_rests, now);
  end_batch(batch, "cancelled", error, now);
  store(batch, now);
  return batch;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_start_run_batch) {
  Order order = read_order(pg::Arguments(fcinfo));
  organization::require(order.start.run.organization_id());
  Begun begun;
  {
    pg::Spi spi;
    begun = begin(order, GetCurrentTimestamp());
  }
  pg::ResultRow row;
  if (begun.limited)
    row.null().text("limited");
  else
    row.add(begun.batch_id).text(begun.status);
  row.add_bool(!begun.refused && !begun.limited).add_bool(begun.duplicate).add_int32(begun.inputs);
  run::add_refusal(row, begun.refused);
  run::add_rate(row, begun.rate);
  return row.finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_tend_run_batches) {
  const std::int32_t most = pg::Arguments(fcinfo).integer(0, "p_most");
  if (most < 1 || most > kMostBegun)
    throw bad_value("p_most is " + std::to_string(most) + ", outside 1 to 1000.");
  pg::Spi spi;
  return Int32GetDatum(tend_all(most, GetCurrentTimestamp()));
}

HOLDFAST_FUNCTION(holdfast_cancel_run_batch) {
  const pg::Arguments arguments(fcinfo);
  const Uuid batch_id = arguments.uuid(0, "p_batch_id");
  const Uuid organization_id = arguments.uuid(1, "p_organization_id");
  const std::optional<std::string> reason = arguments.optional_text(2, "p_reason");
  organization::require(organization_id);
  Batch batch;
  {
    pg::Spi spi;
    batch = cancel(organization_id, batch_id,
                   step_error("cancelled", reason.value_or("The batch was cancelled.")),
                   GetCurrentTimestamp());
  }
  return pg::from_text(batch.status);
}
