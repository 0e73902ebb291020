// Routing: the order in which providers are asked, and providers that are left alone for a while.
#include "extension/routing.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"
#include "extension/pricing.hpp"
#include "extension/provider_health.hpp"

#include <algorithm>

namespace holdfast::routing {

namespace {

constexpr const char* kUnable = "lacks a capability";

struct Pause {
  Candidate candidate; // without a model: the whole provider
  TimestampTz until = 0;
  std::string reason;
};

std::vector<Pause> kept_pauses;
Oid pauses_table = InvalidOid; // whose invalidation makes kept_pauses stale
bool stale = true;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == pauses_table || relation == InvalidOid) stale = true;
}

// One row at least, so that the table to watch is known while it is empty.
pg::Statement load_pauses("SELECT t.oid, p.provider, p.model, p.paused_until, p.reason"
                          " FROM (SELECT 'holdfast.provider_pauses'::regclass::oid AS oid) t"
                          " LEFT JOIN holdfast.provider_pauses p ON true");

constexpr Oid kFactsTypes[] = {INT4OID};
pg::Statement price_facts("SELECT latency_ms, capabilities FROM holdfast.ai_provider_pricing"
                          " WHERE price_id = $1",
                          kFactsTypes);

const std::vector<Pause>& pauses() {
  if (!stale) return kept_pauses;
  std::vector<Pause> loaded;
  const pg::Rows rows = load_pauses.run();
  for (std::uint64_t i = 0; i < rows.size(); ++i)
    if (!rows[i].is_null(2))
      loaded.push_back({{rows[i].text(2), rows[i].text(3)},
                        DatumGetTimestampTz(rows[i].datum(4)),
                        rows[i].text(5)});
  kept_pauses = std::move(loaded);
  pauses_table = DatumGetObjectId(rows[0].datum(1));
  stale = false;
  return kept_pauses;
}

const Pause* find_pause(const Candidate& candidate, TimestampTz now) {
  for (const Pause& pause : pauses()) {
    const bool same = pause.candidate.provider == candidate.provider &&
                      (pause.candidate.model.empty() || pause.candidate.model == candidate.model);
    if (same && pause.until > now) return &pause;
  }
  return nullptr;
}

bool has_all(const std::vector<std::string>& capabilities, const std::vector<std::string>& asked) {
  return std::all_of(asked.begin(), asked.end(), [&](const std::string& one) {
    return std::find(capabilities.begin(), capabilities.end(), one) != capabilities.end();
  });
}

// Reads what only some strategies need. False when the link lacks a capability.
bool learn_facts(const Wish& wish, Link& link) {
  if (wish.strategy != "fastest" && wish.capabilities.empty()) return true;
  const pg::Rows rows = price_facts.run(pg::Parameters().add_int32(link.price->price_id));
  if (rows.empty()) return wish.capabilities.empty();
  if (!rows[0].is_null(1)) link.latency_ms = rows[0].integer(1);
  if (const auto measured = provider_health::median_ms(link.candidate.provider))
    link.latency_ms = static_cast<std::int32_t>(std::min(*measured, 1e9));
  return wish.capabilities.empty() || has_all(pg::to_texts(rows[0].datum(2)), wish.capabilities);
}

bool already_in(const std::vector<Link>& chain, const Candidate& candidate) {
  return std::any_of(chain.begin(), chain.end(), [&](const Link& link) {
    return link.candidate.provider == candidate.provider && link.candidate.model == candidate.model;
  });
}

// What forbids the link to this key, or its provider to everybody for now.
std::optional<Error> refusal_of(const Wish& wish, const Link& link) {
  if (wish.key != nullptr) {
    std::optional<Error> forbidden = pg::caught([&] {
      organization::require_allowed(*wish.key, link.candidate.provider, link.price->model);
    });
    if (forbidden) return forbidden;
  }
  const std::optional<std::int32_t> wait = provider_health::wait_ms(link.candidate.provider);
  if (!wait) return std::nullopt;
  return provider_health::refusal(link.candidate.provider, *wait);
}

// All candidates that are priced, allowed, able and not paused, in the order in which they were
// given.
void collect(const Wish& wish, TimestampTz now, Route& route) {
  const PriceBook& book = pricing::book();
  const std::int32_t day = pg::utc_day(now);
  for (const Candidate& candidate : wish.candidates) {
    if (already_in(route.chain, candidate)) continue;
    Link link{candidate, book.try_find(candidate.provider, candidate.model, day), {}, {}};
    if (link.price == nullptr) {
      route.skipped.emplace_back(candidate, "unpriced");
      continue;
    }
    link.bound = cost_bound(*link.price, wish.prompt_tokens, wish.completion_tokens);
    if (!learn_facts(wish, link)) {
      route.skipped.emplace_back(candidate, kUnable);
    } else if (const Pause* pause = find_pause(candidate, now)) {
      route.skipped.emplace_back(candidate, "paused: " + pause->reason);
    } else if (auto refused = refusal_of(wish, link)) {
      route.skipped.emplace_back(candidate, refused->message());
      if (!route.why_not || refused->sqlstate() == "PT503") route.why_not = std::move(refused);
    } else {
      route.chain.push_back(std::move(link));
    }
  }
}

// Links without a known latency come last.
bool faster(const Link& a, const Link& b) {
  if (a.latency_ms && b.latency_ms) return *a.latency_ms < *b.latency_ms;
  return a.latency_ms.has_value() && !b.latency_ms;
}

bool cheaper(const Link& a, const Link& b) {
  return a.bound < b.bound;
}

void sort(const Wish& wish, Route& route) {
  if (wish.strategy == "specified" || route.chain.empty()) return;
  auto begin = route.chain.begin();
  const Candidate& first = wish.candidates.front();
  const bool named = wish.names_first && begin->candidate.provider == first.provider &&
                     begin->candidate.model == first.model;
  std::stable_sort(named ? begin + 1 : begin, route.chain.end(),
                   wish.strategy == "fastest" ? faster : cheaper);
}

std::string reason_of(const Wish& wish, const Route& route) {
  const std::string count = std::to_string(route.chain.size());
  const Link& first = route.chain.front();
  if (wish.names_first)
    return first.candidate.provider == wish.candidates.front().provider &&
                   first.candidate.model == wish.candidates.front().model
               ? "named by the caller"
               : "stands in for the one that the caller names";
  if (route.chain.size() == 1) return "the only one that can serve the call now";
  if (wish.strategy == "specified") return "the first in the caller's order";
  if (wish.strategy == "fastest" && first.latency_ms)
    return "the fastest of " + count + ", " + std::to_string(*first.latency_ms) + " ms";
  return "the cheapest of " + count + ", at most " + first.bound.str() + " USD";
}

const std::string& asked_model(const Wish& wish) {
  static const std::string none;
  return wish.candidates.empty() ? none : wish.candidates.front().model;
}

[[noreturn]] void refuse_paused(const Wish& wish, TimestampTz now) {
  const Pause* soonest = nullptr;
  for (const Candidate& candidate : wish.candidates) {
    const Pause* pause = find_pause(candidate, now);
    if (pause != nullptr && (soonest == nullptr || pause->until < soonest->until)) soonest = pause;
  }
  const std::int64_t wait_ms = (soonest->until - now) / 1000;
  throw Error("PT503", "Every provider that could serve model \"" + asked_model(wish) +
                           "\" is to be left alone for now: " + soonest->candidate.provider +
                           " said " + soonest->reason + ".")
      .detail(JsonObject()
                  .text("code", "providers_paused")
                  .text("provider", soonest->candidate.provider)
                  .number("retryAfterMs", static_cast<long long>(wait_ms))
                  .str())
      .hint("Try again after that, or name another provider.");
}

[[noreturn]] void refuse(const Wish& wish, const Route& route, TimestampTz now) {
  if (route.why_not) throw Error(*route.why_not);
  const auto is_paused = [](const auto& skipped) { return skipped.second.rfind("paused", 0) == 0; };
  if (std::any_of(route.skipped.begin(), route.skipped.end(), is_paused)) refuse_paused(wish, now);
  const auto is_unable = [](const auto& skipped) { return skipped.second == kUnable; };
  if (std::any_of(route.skipped.begin(), route.skipped.end(), is_unable)) {
    std::string names;
    for (const std::string& name : wish.capabilities)
      names += (names.empty() ? "" : ", ") + name;
    throw invalid("No active provider has a priced model that can do: " + names + ".")
        .detail(JsonObject().text("capabilities", names).str())
        .hint("holdfast.list_models() shows what each model can do.");
  }
  const std::int32_t day = pg::utc_day(now);
  if (wish.names_first)
    pricing::book().find(wish.candidates.front().provider, wish.candidates.front().model, day);
  const Price& elsewhere = pricing::book().find("", asked_model(wish), day);
  throw invalid("Model \"" + asked_model(wish) + "\" is priced for " + elsewhere.provider +
                ", which is not active here.")
      .detail(
          JsonObject().text("model", asked_model(wish)).text("provider", elsewhere.provider).str())
      .hint("Configure the provider's key, or name a model that GET /v1/models shows.");
}

void append_candidate(std::string& out, const Candidate& candidate) {
  out += out.back() == '[' ? "{\"provider\":" : ",{\"provider\":";
  append_json_string(out, candidate.provider);
  out += ",\"model\":";
  append_json_string(out, candidate.model);
}

} // namespace

void start() {
  pg::on_relation_change(on_relation_change);
}

Usd Route::dearest() const {
  Usd most;
  for (const Link& link : chain)
    most = std::max(most, link.bound);
  return most;
}

void Route::keep_within(Usd most) {
  const auto dearer = [&](const Link& link) { return link.bound > most; };
  chain.erase(std::remove_if(chain.begin() + 1, chain.end(), dearer), chain.end());
}

std::string Route::json() const {
  std::string out = "{\"strategy\":";
  append_json_string(out, strategy);
  out += ",\"reason\":";
  append_json_string(out, reason);
  out += ",\"chain\":[";
  for (const Link& link : chain) {
    append_candidate(out, link.candidate);
    out += ",\"mostUSD\":" + link.bound.str();
    if (link.latency_ms) out += ",\"latencyMs\":" + std::to_string(*link.latency_ms);
    out += '}';
  }
  out += "],\"skipped\":[";
  for (const auto& [candidate, why] : skipped) {
    append_candidate(out, candidate);
    out += ",\"reason\":";
    append_json_string(out, why);
    out += '}';
  }
  return out + "]}";
}

Route find_route(const Wish& wish, TimestampTz now) {
  Route route;
  route.strategy = wish.names_first ? "specified" : wish.strategy;
  collect(wish, now, route);
  if (route.chain.empty()) refuse(wish, route, now);
  sort(wish, route);
  route.reason = reason_of(wish, route);
  const std::size_t most = static_cast<std::size_t>(wish.most_fallbacks) + 1;
  if (route.chain.size() > most) route.chain.resize(most);
  return route;
}

} // namespace holdfast::routing

using namespace holdfast;

// Fires after any statement that wrote pauses: every server process then reads them anew.
HOLDFAST_FUNCTION(holdfast_pauses_changed) {
  pg::invalidate_trigger_table(fcinfo);
  return PointerGetDatum(nullptr);
}
