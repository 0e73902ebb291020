// An attempt ends: its charge is recorded whatever has become of the run, its result only where the
// attempt is still the step's own.
#include "extension/run.hpp"

#include "extension/core/json_object.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/spi.hpp"
#include "extension/provider_health.hpp"
#include "extension/telemetry.hpp"

#include <algorithm>

using namespace holdfast;

namespace {

constexpr std::size_t kMostOutputBytes = 256 * 1024;
constexpr std::size_t kMostMisfitBytes = 1000;
constexpr std::int64_t kMostDelayUs = 60 * USECS_PER_SEC;
// With another provider to stand in, this one is not waited for longer.
constexpr std::int64_t kLongestWaitWithNextMs = 1000;

constexpr Oid kFindTypes[] = {UUIDOID, UUIDOID, INT2OID, INT8OID};
pg::Statement find_attempt("SELECT hold_id, outcome, provider, model, routing::text, has_next,"
                           " fallback_used, coalesce(trial, 0)"
                           " FROM holdfast.workflow_run_attempts WHERE organization_id = $1"
                           " AND run_id = $2 AND step_no = $3 AND fence = $4",
                           kFindTypes);

constexpr Oid kEndTypes[] = {UUIDOID,    UUIDOID, INT2OID, INT8OID,       TEXTOID,
                             NUMERICOID, INT8OID, TEXTOID, TIMESTAMPTZOID};
pg::Statement end_attempt("UPDATE holdfast.workflow_run_attempts SET outcome = $5, cost = $6,"
                          " latency_ms = $7, error = nullif($8, '')::jsonb, ended_at = $9"
                          " WHERE organization_id = $1 AND run_id = $2 AND step_no = $3"
                          " AND fence = $4",
                          kEndTypes);

struct Attempt {
  std::size_t step = 0;
  std::int64_t fence = 0;
  Uuid hold_id;
  std::string outcome;
  std::string provider;
  std::string model;
  std::string routing; // JSON
  bool has_next = false;
  bool fallback_used = false;
  std::int64_t trial = 0;
  bool is_own = false; // the step is still this attempt's

  bool has_ended() const { return outcome != "running" && outcome != "lost"; }
};

struct Finished {
  bool accepted = false;
  bool duplicate = false;
  std::optional<ledger::Entry> entry;
  Usd total_cost;
  std::string run_status;
  std::string step_status;
};

Attempt load_attempt(const pg::Arguments& arguments, run::Run& run) {
  run::load(arguments.uuid(0, "p_organization_id"), arguments.uuid(1, "p_run_id"), run);
  Attempt attempt;
  attempt.step = run::position_of(run, arguments.text(2, "p_step_id"));
  attempt.fence = DatumGetInt64(arguments.required(3, "p_fence"));
  const pg::Rows rows = find_attempt.run(pg::Parameters()
                                             .add(run.organization_id())
                                             .add(run.run_id)
                                             .add_int16(static_cast<std::int16_t>(attempt.step))
                                             .add_int64(attempt.fence));
  if (rows.empty())
    throw not_found("The step has no attempt " + std::to_string(attempt.fence) + ".")
        .detail(JsonObject()
                    .text("runId", run.run_id.str())
                    .text("step", run.definition.steps[attempt.step].id)
                    .number("fence", static_cast<long long>(attempt.fence))
                    .number("newestFence", static_cast<long long>(run.steps[attempt.step].fence))
                    .str())
        .hint("Finish what holdfast.claim_step() returned.");
  attempt.hold_id = rows[0].uuid(1);
  attempt.outcome = rows[0].text(2);
  attempt.provider = rows[0].text(3);
  attempt.model = rows[0].text(4);
  attempt.routing = rows[0].text(5);
  attempt.has_next = rows[0].boolean(6);
  attempt.fallback_used = rows[0].boolean(7);
  attempt.trial = rows[0].bigint(8);
  attempt.is_own = attempt.outcome == "running" && !run.ended &&
                   run.steps[attempt.step].fence == attempt.fence &&
                   run.state.steps[attempt.step].status == StepStatus::running;
  return attempt;
}

void store_end(const run::Run& run, const Attempt& attempt, const char* outcome,
               const std::optional<Usd>& cost, const std::optional<std::int64_t>& latency_ms,
               const std::string& error, TimestampTz now) {
  pg::Parameters parameters;
  parameters.add(run.organization_id())
      .add(run.run_id)
      .add_int16(static_cast<std::int16_t>(attempt.step))
      .add_int64(attempt.fence)
      .text(outcome)
      .add(cost);
  if (latency_ms)
    parameters.add_int64(*latency_ms);
  else
    parameters.null();
  end_attempt.run(parameters.text(error).add(TimestampTzGetDatum(now)));
}

// The charge of an attempt, from the parameters p_prompt_tokens and on.
ledger::Charge read_charge(const pg::Arguments& arguments, int first, const run::Run& run,
                           const Attempt& attempt) {
  ledger::Charge charge;
  charge.subject = run.subject;
  charge.subject.provider = attempt.provider;
  charge.hold_id = attempt.hold_id;
  charge.idempotency_key = attempt.hold_id; // an attempt is settled once, however often repeated
  charge.model = attempt.model;
  charge.tokens.prompt = arguments.integer(first, "p_prompt_tokens");
  charge.tokens.completion = arguments.integer(first + 1, "p_completion_tokens");
  charge.tokens.cached = arguments.integer(first + 2, "p_cached_tokens");
  charge.tokens.cache_write = arguments.integer(first + 3, "p_cache_write_tokens");
  charge.tokens.reasoning = arguments.integer(first + 4, "p_reasoning_tokens");
  charge.estimated = arguments.boolean(first + 5, "p_estimated");
  charge.reported_cost = arguments.optional_usd(first + 6, "p_reported_cost");
  charge.fallback_used = attempt.fallback_used;
  const std::string& step = run.definition.steps[attempt.step].id;
  charge.metadata = JsonObject()
                        .text("run_id", run.run_id.str())
                        .text("step", step)
                        .json("routing", attempt.routing)
                        .str();
  return charge;
}

// Adds what a caller says of an answer to the metadata of its ledger entry.
void add_members(std::string& object, Datum given) {
  const std::string members = pg::json_object_text(given, "p_metadata");
  if (members.find_first_not_of("{} ") == std::string::npos) return;
  object.back() = ',';
  object += members.substr(1);
}

// Tells the provider's circuit breaker how the attempt went; what is not known gives its trial
// back.
void report_provider(const Attempt& attempt, const std::optional<bool>& ok,
                     const std::optional<std::int64_t>& latency_ms) {
  if (!provider_health::is_watched()) return;
  if (ok && latency_ms)
    provider_health::report(attempt.provider, *ok, *latency_ms, attempt.trial);
  else if (attempt.trial > 0)
    provider_health::give_back(attempt.provider, attempt.trial);
}

// Settles, and adds the cost to the run's and the step's figures.
ledger::Entry charge_run(run::Run& run, const Attempt& attempt, const ledger::Charge& charge,
                         std::optional<std::int64_t> latency_ms, TimestampTz now) {
  const ledger::Entry entry = run::settle(run, charge, now);
  if (entry.duplicate) return entry;
  audit::Entry row = run::audit_entry(run, "settled", run.definition.steps[attempt.step].id);
  row.hold_id = attempt.hold_id;
  row.provider = attempt.provider;
  row.model = attempt.model;
  row.prompt_tokens = charge.tokens.prompt;
  row.completion_tokens = charge.tokens.completion;
  row.cost = entry.cost;
  row.latency_ms = latency_ms;
  row.fallback_used = charge.fallback_used;
  audit::record(row);
  telemetry::count_charge(attempt.provider, charge.tokens.prompt + charge.tokens.completion,
                          entry.cost);
  run.total_cost += entry.cost;
  run::StepRow& step = run.steps[attempt.step];
  step.cost += entry.cost;
  step.tokens.prompt += charge.tokens.prompt;
  step.tokens.completion += charge.tokens.completion;
  step.changed = true;
  return entry;
}

// A run that ended while this attempt ran has nothing left to be done by it.
void let_go(run::Run& run, const Attempt& attempt) {
  const bool was_its = run.ended && run.steps[attempt.step].fence == attempt.fence &&
                       run.state.steps[attempt.step].status == StepStatus::running;
  if (!was_its) return;
  run.state.steps[attempt.step].status = StepStatus::cancelled;
  run.steps[attempt.step].lease_until.reset();
  run.steps[attempt.step].changed = true;
  run::tell(run, "step.cancelled", run.definition.steps[attempt.step].id);
}

// The answer as the step's schema wants it, or what is wrong with it.
struct Form {
  std::string output;
  std::optional<std::string> misfit;
};

Form in_form(const JsonSchema& schema, const std::string& output) {
  const std::vector<JsonValue> values = json_in(output);
  if (values.empty()) return {"", "It held no JSON that can be read: none, or cut off."};
  for (const JsonValue& value : values) {
    if (!schema.fault(value)) return {value.str(), std::nullopt};
  }
  return {"", schema.fault(values.front())};
}

// The first answer that does not fit is asked for once more.
void refuse_form(run::Run& run, const Attempt& attempt, const std::string& misfit,
                 TimestampTz now) {
  run::StepRow& step = run.steps[attempt.step];
  const bool is_first = !step.misfit.has_value();
  const std::string error =
      step_error("schema_mismatch", "Its answer does not fit its schema. " + misfit);
  step.misfit = clipped(misfit, kMostMisfitBytes);
  if (is_first)
    run::retry(run, attempt.step, error, now);
  else
    run::fail(run, attempt.step, error);
}

// Returns how the attempt ended.
const char* complete(run::Run& run, const Attempt& attempt, std::string output,
                     const std::optional<ledger::Entry>& entry, TimestampTz now) {
  if (output.size() > kMostOutputBytes) {
    run::fail(run, attempt.step, step_error("too_long", "Its answer is longer than 256 KB."));
    return "failed";
  }
  if (const std::optional<JsonSchema>& schema = run.definition.steps[attempt.step].schema) {
    Form form = in_form(*schema, output);
    if (form.misfit) {
      refuse_form(run, attempt, *form.misfit, now);
      return "failed";
    }
    output = std::move(form.output);
  }
  StepState& state = run.state.steps[attempt.step];
  state.status = StepStatus::completed;
  state.output = std::move(output);
  state.error.clear();
  run.steps[attempt.step].lease_until.reset();
  run.steps[attempt.step].changed = true;
  run::tell(run, "step.completed", run.definition.steps[attempt.step].id,
            JsonObject().number("costUSD", entry ? entry->cost.str() : "0").str());
  return "completed";
}

std::optional<std::int64_t> read_latency(const pg::Arguments& arguments, int i) {
  if (arguments.is_null(i)) return std::nullopt;
  const std::int64_t latency = DatumGetInt64(arguments.required(i, "p_latency_ms"));
  if (latency >= 0) return latency;
  throw bad_value("p_latency_ms is below 0.")
      .detail(JsonObject().text("field", "p_latency_ms").str());
}

void tell_end(const run::Run& run, const Attempt& attempt, Finished& finished) {
  finished.total_cost = run.total_cost;
  finished.run_status = run.status;
  finished.step_status = status_name(run.state.steps[attempt.step].status);
}

Finished complete_step(const pg::Arguments& arguments, TimestampTz now) {
  run::Run run;
  const Attempt attempt = load_attempt(arguments, run);
  std::string output = pg::to_text(arguments.required(4, "p_output"));
  const std::optional<std::int64_t> latency_ms = read_latency(arguments, 12);
  Finished finished;
  if (!arguments.is_null(5)) {
    ledger::Charge charge = read_charge(arguments, 5, run, attempt);
    add_members(*charge.metadata, arguments.required(13, "p_metadata"));
    finished.entry = charge_run(run, attempt, charge, latency_ms, now);
  } else if (!attempt.has_ended()) {
    run::give_back(run, attempt.hold_id, now);
  }
  finished.duplicate = attempt.has_ended();
  finished.accepted = finished.duplicate ? attempt.outcome != "superseded" : attempt.is_own;
  if (!finished.duplicate) {
    const char* outcome = "superseded";
    if (finished.entry) report_provider(attempt, true, latency_ms);
    if (attempt.is_own) {
      run.steps[attempt.step].latency_ms = latency_ms;
      outcome = complete(run, attempt, std::move(output), finished.entry, now);
    }
    store_end(run, attempt, outcome,
              finished.entry ? std::optional(finished.entry->cost) : std::nullopt, latency_ms,
              attempt.is_own ? run.state.steps[attempt.step].error : "", now);
    let_go(run, attempt);
    run::move_on(run, now);
  }
  tell_end(run, attempt, finished);
  return finished;
}

// The moment of the next attempt: the step's delay, doubled for each failure before, or what the
// provider asks for, and up to a quarter more, so that steps that failed together part.
TimestampTz next_attempt(const run::Run& run, const Attempt& attempt, std::int64_t asked_ms,
                         TimestampTz now) {
  const int doublings = std::min(run.steps[attempt.step].failures - 1, 16);
  std::int64_t delay = run.definition.steps[attempt.step].delay_ms * 1000 << std::max(doublings, 0);
  delay = std::min(std::max(delay, asked_ms * 1000), std::max(kMostDelayUs, asked_ms * 1000));
  const Uuid random = pg::new_uuid();
  return now + delay + delay / 4 * random.bytes[15] / 255;
}

// Tried again where that may help, at this provider or at the next; else failed.
void go_on(const pg::Arguments& arguments, run::Run& run, const Attempt& attempt,
           const std::string& error, TimestampTz now) {
  const bool is_transient = arguments.boolean(6, "p_transient");
  const std::int64_t asked_ms = std::clamp<std::int64_t>(
      arguments.is_null(7) ? 0 : arguments.integer(7, "p_retry_after_ms"), 0, USECS_PER_DAY / 1000);
  const bool elsewhere =
      arguments.is_null(18) ? is_transient : arguments.boolean(18, "p_elsewhere");
  const bool hands_on = attempt.has_next && elsewhere;
  run::StepRow& step = run.steps[attempt.step];
  step.failures += 1;
  const bool again = is_transient &&
                     step.failures < run.definition.steps[attempt.step].most_attempts &&
                     !(hands_on && asked_ms > kLongestWaitWithNextMs);
  if (again)
    run::retry(run, attempt.step, error, next_attempt(run, attempt, asked_ms, now));
  else if (hands_on)
    run::hand_on(run, attempt.step, error, now);
  else
    run::fail(run, attempt.step, error);
}

std::string read_error(const pg::Arguments& arguments) {
  const std::string message = pg::to_text(arguments.required(5, "p_message"));
  return step_error(arguments.text(4, "p_code"), clipped(message, 1000));
}

// Ends what the attempt holds: charged, free, or unknown.
void end_money(const pg::Arguments& arguments, run::Run& run, const Attempt& attempt,
               Finished& finished, TimestampTz now) {
  constexpr int kPromptTokens = 9;
  if (!arguments.is_null(kPromptTokens))
    finished.entry = charge_run(run, attempt, read_charge(arguments, kPromptTokens, run, attempt),
                                std::nullopt, now);
  else if (attempt.has_ended())
    return;
  else if (arguments.boolean(8, "p_maybe_charged"))
    run::abandon(run, attempt.hold_id, now);
  else
    run::give_back(run, attempt.hold_id, now);
}

Finished fail_step(const pg::Arguments& arguments, TimestampTz now) {
  run::Run run;
  const Attempt attempt = load_attempt(arguments, run);
  const std::string error = read_error(arguments);
  std::optional<bool> provider_ok;
  if (!arguments.is_null(16)) provider_ok = arguments.boolean(16, "p_provider_ok");
  const std::optional<std::int64_t> latency_ms = read_latency(arguments, 17);
  Finished finished;
  end_money(arguments, run, attempt, finished, now);
  finished.duplicate = attempt.has_ended();
  finished.accepted = finished.duplicate ? attempt.outcome == "failed" : attempt.is_own;
  if (!finished.duplicate) {
    store_end(run, attempt, attempt.is_own ? "failed" : "superseded",
              finished.entry ? std::optional(finished.entry->cost) : std::nullopt, latency_ms,
              error, now);
    report_provider(attempt, provider_ok, latency_ms);
    if (attempt.is_own) go_on(arguments, run, attempt, error, now);
    let_go(run, attempt);
    run::move_on(run, now);
  }
  tell_end(run, attempt, finished);
  return finished;
}

Datum finished_row(FunctionCallInfo fcinfo, const Finished& finished) {
  const std::optional<ledger::Entry>& entry = finished.entry;
  return pg::ResultRow()
      .add_bool(finished.accepted)
      .add_bool(finished.duplicate)
      .add(entry ? std::optional(entry->ledger_id) : std::nullopt)
      .add(entry ? std::optional(entry->cost) : std::nullopt)
      .add(finished.total_cost)
      .text(finished.step_status)
      .text(finished.run_status)
      .finish(fcinfo);
}

Datum finish(FunctionCallInfo fcinfo, Finished (*work)(const pg::Arguments&, TimestampTz)) {
  const pg::Arguments arguments(fcinfo);
  organization::require(arguments.uuid(0, "p_organization_id"));
  Finished finished;
  {
    pg::Spi spi;
    finished = work(arguments, GetCurrentTimestamp());
  }
  return finished_row(fcinfo, finished);
}

} // namespace

HOLDFAST_FUNCTION(holdfast_complete_step) {
  return finish(fcinfo, complete_step);
}

HOLDFAST_FUNCTION(holdfast_fail_step) {
  return finish(fcinfo, fail_step);
}
