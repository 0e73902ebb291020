// Workers take steps: rendered, priced, and with what they can cost drawn on the run's hold.
#include "extension/run.hpp"

#include "extension/core/input_text.hpp"
#include "extension/core/json_object.hpp"
#include "extension/core/redaction.hpp"
#include "extension/organization.hpp"
#include "extension/organization_setting.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/spi.hpp"
#include "extension/provider_health.hpp"
#include "extension/rate_limit.hpp"
#include "extension/run_route.hpp"

#include <set>

using namespace holdfast;

namespace {

constexpr std::int32_t kMostSteps = 64;
constexpr std::int64_t kStandardTokens = 1024; // of an answer, where the step names none

// As the gateway bounds a prompt: a token for each byte, and frames round messages.
constexpr std::int64_t kFrameTokens = 32;

// How long a step waits that no provider can serve now. A breaker or a pause may end before it
// said.
constexpr std::int64_t kShortestWaitMs = 100;
constexpr std::int64_t kLongestWaitMs = 5000;

// What is locked by another session is somebody else's turn; so is what no provider here serves.
constexpr Oid kDueTypes[] = {TIMESTAMPTZOID, UUIDOID, TEXTARRAYOID, INT4OID};
pg::Statement find_due("SELECT s.organization_id, s.run_id, s.step_no"
                       " FROM holdfast.workflow_run_steps s"
                       " JOIN holdfast.workflow_runs r USING (organization_id, run_id)"
                       " WHERE s.status = 'ready' AND s.ready_at <= $1 AND r.ended_at IS NULL"
                       " AND ($2 IS NULL OR s.organization_id = $2)"
                       " AND (s.providers IS NULL OR s.providers && $3)"
                       " ORDER BY s.ready_at LIMIT $4 FOR NO KEY UPDATE OF r SKIP LOCKED",
                       kDueTypes);

constexpr Oid kAttemptTypes[] = {UUIDOID,    UUIDOID, INT2OID, INT8OID, UUIDOID,
                                 NUMERICOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
                                 TEXTOID,    BOOLOID, BOOLOID, INT8OID};
pg::Statement
    insert_attempt("INSERT INTO holdfast.workflow_run_attempts"
                   " (organization_id, run_id, step_no, fence, hold_id, amount, worker,"
                   " provider, model, started_at, routing, has_next, fallback_used, trial)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12,"
                   " $13, nullif($14, 0))",
                   kAttemptTypes);

constexpr Oid kDigestTypes[] = {TEXTOID};
pg::Statement make_digest("SELECT sha256(convert_to($1, 'UTF8'))", kDigestTypes);

constexpr Oid kAnswerTypes[] = {UUIDOID, BYTEAOID, TIMESTAMPTZOID};
pg::Statement find_answer(
    "SELECT output, provider, model,"
    " coalesce((SELECT a.cost FROM holdfast.workflow_run_steps a"
    "           WHERE a.organization_id = $1 AND a.request_digest = $2 AND a.status = 'completed'"
    "           AND NOT a.cached ORDER BY a.ended_at DESC LIMIT 1), 0)"
    " FROM holdfast.workflow_run_steps"
    " WHERE organization_id = $1 AND request_digest = $2"
    " AND status = 'completed' AND ended_at > $3 - interval '24 hours'"
    " ORDER BY ended_at DESC LIMIT 1",
    kAnswerTypes);

struct Claim {
  std::string worker;
  run::Served served;
  std::int32_t most = 0;
  TimestampTz lease_until = 0;
  std::optional<Uuid> organization_id;
};

// A provider call that a step comes to.
struct Call {
  std::string provider;
  std::string model;
  std::string prompt;
  std::optional<std::string> system_prompt;
  std::int64_t prompt_tokens = 0;
  std::int64_t tokens = 0;
  std::optional<std::string> temperature;
  std::optional<std::string> schema; // as JSON
  Usd worst;
  std::string routing; // JSON
  bool has_next = false;
  bool fallback_used = false;
  std::int64_t trial = 0; // of the provider's circuit breaker
};

struct Claimed {
  Uuid organization_id;
  Uuid run_id;
  std::string step_id;
  std::int64_t fence = 0;
  Call call;
  Uuid hold_id;
  std::optional<std::string> user_id;
};

Claim read_claim(const pg::Arguments& arguments, TimestampTz now) {
  Claim claim;
  claim.worker = arguments.text(0, "p_worker");
  claim.served.providers = pg::to_texts(arguments.required(1, "p_providers"));
  if (!arguments.is_null(2)) claim.served.models = pg::to_texts(arguments.required(2, "p_models"));
  claim.most = arguments.integer(3, "p_most");
  if (claim.most < 1 || claim.most > kMostSteps)
    throw bad_value("p_most is " + std::to_string(claim.most) + ", outside 1 to 64.")
        .detail(JsonObject().text("field", "p_most").str());
  claim.lease_until = arguments.expiry(4, "p_lease", now);
  claim.organization_id = arguments.optional_uuid(5);
  // Who may act for one organization only takes its steps only.
  if (!claim.organization_id && pg::has_claims() && pg::claim("role") != "service_role")
    claim.organization_id = parse_uuid(pg::claim("organization_id").value_or(""));
  return claim;
}

std::optional<std::string> render_member(const run::Run& run, const JsonValue& input,
                                         std::string_view name) {
  const JsonValue* text = input.find(name);
  if (text == nullptr || !text->is(JsonValue::Kind::text)) return std::nullopt;
  std::optional<std::string> rendered = render(run.state, text->text);
  if (!rendered) throw Error("too_long", "Its " + std::string(name) + " is longer than 50 KB.");
  return rendered;
}

// The form that is wanted goes with the prompt, for not every provider can be told otherwise.
std::string with_form(std::string prompt, const JsonSchema& schema,
                      const std::optional<std::string>& misfit) {
  prompt += "\n\nAnswer with JSON alone, one value that fits this JSON Schema:\n" + schema.str();
  if (misfit)
    prompt += "\n\nAn earlier answer did not fit: " + *misfit +
              " Answer again, in full, so that it fits.";
  return prompt;
}

// The call that the step comes to, but for its provider.
Call render_call(const run::Run& run, std::size_t i) {
  const RunStep& step = run.definition.steps[i];
  const JsonValue input = input_of(step, run.state.steps[i].variant);
  Call call;
  const bool redacts = organization::settings_of(run.organization_id()).redact_for_provider;
  const auto as_sent = [&](const std::string& text) {
    const std::string clean = normalized_input(text);
    return redacts ? redacted(clean) : clean;
  };
  call.prompt = as_sent(render_member(run, input, "prompt").value_or(""));
  call.system_prompt = render_member(run, input, "systemPrompt");
  if (call.system_prompt) call.system_prompt = as_sent(*call.system_prompt);
  if (step.schema) {
    call.schema = step.schema->str();
    call.prompt = with_form(std::move(call.prompt), *step.schema, run.steps[i].misfit);
  }
  const std::size_t bytes = call.prompt.size() + call.system_prompt.value_or("").size();
  if (bytes > kMostRenderedBytes) throw Error("too_long", "Its prompts are longer than 50 KB.");
  call.prompt_tokens = static_cast<std::int64_t>(bytes) + kFrameTokens;
  call.tokens = kStandardTokens;
  if (const JsonValue* most = input.find("maxTokens"); most != nullptr && !most->text.empty())
    call.tokens =
        static_cast<std::int64_t>(Usd::parse(most->text).value().units() / Usd::whole(1).units());
  call.tokens = std::min<std::int64_t>(call.tokens, run::limits().tokens);
  if (const JsonValue* degree = input.find("temperature");
      degree != nullptr && !degree->text.empty())
    call.temperature = degree->text;
  return call;
}

// Throws Error where the step cannot be called: for now (PT503), or what it fails with.
Call plan_call(const Claim& claim, const run::Run& run, std::size_t i, TimestampTz now) {
  Call call = render_call(run, i);
  const routing::Route route =
      run::find_route(run, i, claim.served, call.prompt_tokens, call.tokens, now);
  const routing::Link& first = route.chain.front();
  call.provider = first.candidate.provider;
  call.model = first.candidate.model;
  call.worst = first.bound;
  call.routing = route.json();
  call.has_next = route.chain.size() > 1;
  const std::optional<std::string> asked = run::asked_of(run, i).provider;
  call.fallback_used = !run.steps[i].given_up.empty() || (asked && *asked != call.provider);
  return call;
}

std::string digest_of(const Call& call) {
  std::string text = JsonObject()
                         .text("provider", call.provider)
                         .text("model", call.model)
                         .text("prompt", call.prompt)
                         .text("system", call.system_prompt.value_or(""))
                         .number("tokens", call.tokens)
                         .text("temperature", call.temperature.value_or(""))
                         .str();
  return pg::to_bytes(make_digest.run(pg::Parameters().text(text))[0].datum(1));
}

// The entry of an answer that was kept: it cost nothing, and saved what the first one cost.
void record_saving(const run::Run& run, std::size_t i, Usd saved) {
  ledger::Charge charge;
  charge.subject = run.subject;
  charge.subject.provider = run.steps[i].provider;
  charge.model = run.steps[i].model;
  charge.cost = Usd();
  charge.cache_hit = true;
  charge.idempotency_key = pg::new_uuid();
  charge.metadata = JsonObject()
                        .text("run_id", run.run_id.str())
                        .text("step", run.definition.steps[i].id)
                        .number("savedUSD", saved.str())
                        .str();
  ledger::record(charge);
}

// Takes the answer that the organization was given before to the same request, if one is kept.
bool take_answer(run::Run& run, std::size_t i, const Call& call, TimestampTz now) {
  run::StepRow& step = run.steps[i];
  step.digest = digest_of(call);
  const pg::Rows rows = find_answer.run(pg::Parameters()
                                            .add(run.organization_id())
                                            .add(pg::from_bytes(*step.digest))
                                            .add(TimestampTzGetDatum(now)));
  if (rows.empty()) return false;
  StepState& state = run.state.steps[i];
  state.status = StepStatus::completed;
  state.output = rows[0].optional_text(1).value_or("");
  state.error.clear();
  step.provider = rows[0].optional_text(2);
  step.model = rows[0].optional_text(3);
  step.cached = true;
  step.latency_ms = 0;
  step.changed = true;
  record_saving(run, i, rows[0].usd(4));
  run::tell(run, "step.completed", run.definition.steps[i].id,
            JsonObject().json("cached", "true").number("savedUSD", rows[0].usd(4).str()).str());
  return true;
}

Claimed begin_attempt(const Claim& claim, run::Run& run, std::size_t i, Call call,
                      const Uuid& hold_id, TimestampTz now) {
  run::StepRow& step = run.steps[i];
  step.fence += 1;
  step.provider = call.provider;
  step.model = call.model;
  step.fallback_used = call.fallback_used;
  step.worker = claim.worker;
  step.lease_until = claim.lease_until;
  step.changed = true;
  run.state.steps[i].status = StepStatus::running;
  run.state.steps[i].error.clear();
  const std::string& step_id = run.definition.steps[i].id;
  insert_attempt.run(pg::Parameters()
                         .add(run.organization_id())
                         .add(run.run_id)
                         .add_int16(static_cast<std::int16_t>(i))
                         .add_int64(step.fence)
                         .add(hold_id)
                         .add(call.worst)
                         .text(claim.worker)
                         .text(call.provider)
                         .text(call.model)
                         .add(TimestampTzGetDatum(now))
                         .text(call.routing)
                         .add_bool(call.has_next)
                         .add_bool(call.fallback_used)
                         .add_int64(call.trial));
  run::tell(run, "step.started", step_id,
            JsonObject()
                .text("provider", call.provider)
                .text("model", call.model)
                .number("attempt", static_cast<long long>(step.fence))
                .number("mostUSD", call.worst.str())
                .str());
  return {run.organization_id(), run.run_id, step_id, step.fence, std::move(call), hold_id,
          run.subject.user_id};
}

std::string refusal(const budget::Figures& figures) {
  JsonObject object;
  object.text("code", "budget_exceeded")
      .text("message", "The budget of scope " + figures.scope + " does not hold what it can cost.")
      .text("scope", figures.scope);
  if (figures.limit) object.number("limitUSD", figures.limit->str());
  return object.number("spentUSD", figures.spent.str()).number("heldUSD", figures.held.str()).str();
}

// Lets the step wait, as long as its refusal says.
void wait(run::Run& run, std::size_t i, const Error& refusal, TimestampTz now) {
  std::int64_t wait_ms = kShortestWaitMs;
  if (const std::optional<JsonValue> detail = JsonValue::parse(refusal.detail()))
    if (const JsonValue* asked = detail->find("retryAfterMs"); asked != nullptr)
      wait_ms = static_cast<std::int64_t>(Usd::parse(asked->text).value_or(Usd()).units() /
                                          Usd::whole(1).units());
  wait_ms = std::clamp(wait_ms, kShortestWaitMs, kLongestWaitMs);
  run::delay(run, i, step_error("no_provider", refusal.message()), now + wait_ms * 1000);
}

// Counts the call on the limits of its provider and of all. Steps wait their turn, so a run's user
// and key, whose request was its start, offend nobody by it.
void pass_limits(const run::Run& run, const Call& call) {
  if (!rate_limit::is_on()) return;
  rate_limit::Request request;
  request.organization_id = run.organization_id();
  request.provider = call.provider;
  request.tokens = static_cast<std::int32_t>(call.prompt_tokens + call.tokens);
  request.waits = true;
  const rate_limit::Decision decision = rate_limit::decide(request);
  if (decision.allowed) return;
  throw unavailable("The rate limit of layer " + std::string(name_of(*decision.layer)) +
                    " is reached.")
      .detail(JsonObject().number("retryAfterMs", decision.retry_after_ms).str());
}

// The breaker may have opened since the route was found.
void pass_breaker(Call& call) {
  if (!provider_health::is_watched()) return;
  const Breaker::Admission admission = provider_health::admit(call.provider);
  if (!admission.admitted)
    throw provider_health::refusal(call.provider,
                                   provider_health::wait_ms(call.provider).value_or(0));
  call.trial = admission.trial;
}

// What the step comes to now; nullopt when it waits or has failed instead.
template <class Work>
bool may(run::Run& run, std::size_t i, TimestampTz now, Work work) {
  const std::optional<Error> fault = pg::caught(work);
  if (!fault) return true;
  if (fault->sqlstate() == "PT503")
    wait(run, i, *fault, now);
  else
    run::fail(run, i,
              step_error(fault->sqlstate() == "too_long" ? "too_long" : "cannot_be_called",
                         fault->message()));
  return false;
}

// A document to be delivered: nothing is charged for it, so that nothing is held.
std::optional<Claimed> claim_delivery(const Claim& claim, run::Run& run, std::size_t i,
                                      TimestampTz now) {
  std::optional<std::string> document = render_document(run.state, run.definition.steps[i]);
  if (!document) {
    run::fail(run, i, step_error("too_long", "Its document is longer than 256 KB."));
    return std::nullopt;
  }
  Call call;
  call.provider = call.model = run::kWebhook;
  call.prompt = std::move(*document);
  call.routing = "{}";
  return begin_attempt(claim, run, i, std::move(call), pg::new_uuid(), now);
}

// One step that was found ready: taken, answered from what is kept, left waiting, or failed.
std::optional<Claimed> claim_one(const Claim& claim, run::Run& run, std::size_t i,
                                 TimestampTz now) {
  if (run.definition.steps[i].delivers()) return claim_delivery(claim, run, i, now);
  Call call;
  if (!may(run, i, now, [&] { call = plan_call(claim, run, i, now); })) return std::nullopt;
  if (run.definition.steps[i].cache && take_answer(run, i, call, now)) return std::nullopt;
  if (!may(run, i, now, [&] { pass_limits(run, call); })) return std::nullopt;
  const run::Draw drawn = run::draw(run, call.provider, call.model, call.worst, now);
  if (!drawn.hold_id) {
    run::fail(run, i, refusal(drawn.figures));
    return std::nullopt;
  }
  if (may(run, i, now, [&] { pass_breaker(call); }))
    return begin_attempt(claim, run, i, std::move(call), *drawn.hold_id, now);
  run::give_back(run, *drawn.hold_id, now);
  return std::nullopt;
}

bool serves(const run::Served& served, const run::StepRow& step) {
  if (!step.providers) return true;
  const std::vector<std::string>& own = served.providers;
  return std::any_of(step.providers->begin(), step.providers->end(),
                     [&](const std::string& provider) {
                       return std::find(own.begin(), own.end(), provider) != own.end();
                     });
}

std::vector<Claimed> claim_steps(const Claim& claim, TimestampTz now) {
  pg::Parameters parameters;
  parameters.add(TimestampTzGetDatum(now)).add(claim.organization_id);
  parameters.add(pg::from_texts(claim.served.providers)).add_int32(claim.most);
  const pg::Rows due = find_due.run(parameters);
  std::vector<Claimed> claimed;
  std::set<std::pair<Uuid, Uuid>> runs;
  for (std::uint64_t row = 0; row < due.size(); ++row)
    runs.emplace(due[row].uuid(1), due[row].uuid(2));
  for (const auto& [organization_id, run_id] : runs) {
    run::Run run;
    run::load(organization_id, run_id, run);
    if (run.deadline && *run.deadline <= now) continue; // the reaper ends it
    for (std::size_t i = 0; i < run.steps.size(); ++i) {
      const run::StepRow& step = run.steps[i];
      const bool is_due =
          run.state.steps[i].status == StepStatus::ready && step.ready_at && *step.ready_at <= now;
      if (!is_due || static_cast<std::int32_t>(claimed.size()) == claim.most) continue;
      if (!serves(claim.served, step)) continue;
      if (std::optional<Claimed> taken = claim_one(claim, run, i, now))
        claimed.push_back(std::move(*taken));
    }
    run::move_on(run, now);
  }
  return claimed;
}

Datum claimed_row(FunctionCallInfo fcinfo, const Claimed& step, TimestampTz lease_until) {
  pg::ResultRow row;
  row.add(step.organization_id).add(step.run_id).text(step.step_id);
  row.add(Int64GetDatum(step.fence)).text(step.call.provider).text(step.call.model);
  row.text(step.call.prompt).text(step.call.system_prompt);
  row.add_int32(static_cast<std::int32_t>(step.call.tokens));
  row.add(step.call.temperature ? Usd::parse(*step.call.temperature) : std::nullopt);
  row.add(step.hold_id).add(step.call.worst).add_time(lease_until).text(step.user_id);
  row.add_bool(step.call.fallback_used).add(pg::from_jsonb_text(step.call.routing));
  row.text(step.call.provider == run::kWebhook ? "deliver" : "generate");
  if (step.call.schema)
    row.add(pg::from_jsonb_text(*step.call.schema));
  else
    row.null();
  return row.finish(fcinfo);
}

std::vector<Datum> claim_rows(FunctionCallInfo fcinfo) {
  const TimestampTz now = GetCurrentTimestamp();
  const Claim claim = read_claim(pg::Arguments(fcinfo), now);
  if (claim.organization_id) organization::require(*claim.organization_id);
  std::vector<Claimed> claimed;
  {
    pg::Spi spi;
    claimed = claim_steps(claim, now);
  }
  std::vector<Datum> rows;
  for (const Claimed& step : claimed)
    rows.push_back(claimed_row(fcinfo, step, claim.lease_until));
  return rows;
}

} // namespace

HOLDFAST_FUNCTION(holdfast_claim_step) {
  return pg::return_rows(fcinfo, claim_rows);
}
