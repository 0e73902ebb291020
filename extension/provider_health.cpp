// Circuit breakers and latencies of providers, one place in shared memory for each.
#include "extension/provider_health.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/core/latency_sketch.hpp"
#include "extension/events.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/settings.hpp"
#include "extension/pg/shared_area.hpp"

namespace holdfast::provider_health {

namespace {

constexpr std::size_t kMostProviders = 64;
constexpr std::size_t kMostNameBytes = 255; // as arguments have
constexpr std::uint64_t kEnoughCalls = 5;
constexpr std::int64_t kUsPerMs = 1000;
constexpr std::int64_t kMostLatencyMs = 86'400'000;

int window_ms = 0;
int minimum_calls = 0;
int threshold_percent = 0;
int slow_ms = 0;
int open_ms = 0;
int trial_patience_ms = 0;

// A provider as one database knows it.
struct Place {
  Oid database = InvalidOid; // InvalidOid: nobody's
  std::array<char, kMostNameBytes + 1> name{};
  std::int64_t last_used = 0;
  Breaker breaker;
  RecentLatency latency;
  std::int64_t successes = 0; // since the server's start
  std::int64_t failures = 0;

  bool is(Oid of, const std::string& provider) const {
    return database == of && provider == name.data();
  }
};

struct Places {
  std::array<Place, kMostProviders> all;
};

pg::SharedArea area("holdfast providers");

Places& places() {
  return *static_cast<Places*>(area.get());
}

BreakerRules rules() {
  BreakerRules now;
  now.window = window_ms * kUsPerMs;
  now.minimum_calls = minimum_calls;
  now.threshold_percent = threshold_percent;
  now.slow = slow_ms * kUsPerMs;
  now.open_for = open_ms * kUsPerMs;
  now.trial_patience = trial_patience_ms * kUsPerMs;
  return now;
}

Place* find(Places& table, const std::string& provider) {
  for (Place& place : table.all)
    if (place.is(MyDatabaseId, provider)) return &place;
  return nullptr;
}

// The provider's place, else a new one. When all are taken, the one that was used longest ago
// and lets calls through makes room: what is lost of it is a window's counts.
Place& find_or_make(Places& table, const std::string& provider, std::int64_t now,
                    const BreakerRules& by) {
  Place* place = find(table, provider);
  if (place == nullptr) {
    const auto rank = [&](const Place& each) {
      const bool shuts = each.breaker.state(now, by) != BreakerState::closed;
      return std::make_pair(each.database != InvalidOid && shuts, each.last_used);
    };
    place = &*std::min_element(table.all.begin(), table.all.end(),
                               [&](const Place& a, const Place& b) { return rank(a) < rank(b); });
    *place = Place();
    place->database = MyDatabaseId;
    std::memcpy(place->name.data(), provider.data(),
                std::min(provider.size(), place->name.size() - 1));
  }
  place->last_used = now;
  return *place;
}

// What is shown of a provider.
struct Shown {
  std::string name;
  BreakerState state = BreakerState::closed;
  BreakerCounts counts;
  int trials_out = 0;
  std::int64_t retry_after = 0;
  std::int64_t times_opened = 0;
  std::int64_t successes = 0;
  std::int64_t failures = 0;
  RecentLatency::Summary recent;
};

// Copies are taken under the lock, one provider at a time; all else happens after it.
std::vector<Shown> show_all() {
  const BreakerRules by = rules();
  std::vector<Shown> shown;
  auto copy = std::make_unique<Place>();
  for (const Place& place : places().all) {
    {
      const pg::Locked lock(area, pg::Locked::Mode::shared);
      *copy = place;
    }
    if (copy->database != MyDatabaseId) continue;
    const std::int64_t now = pg::steady_us();
    const Breaker& breaker = copy->breaker;
    shown.push_back({copy->name.data(), breaker.state(now, by), breaker.counts(now, by),
                     breaker.trials_out(now, by), breaker.retry_after(now, by),
                     breaker.times_opened(), copy->successes, copy->failures,
                     copy->latency.summary(now)});
  }
  std::sort(shown.begin(), shown.end(),
            [](const Shown& a, const Shown& b) { return a.name < b.name; });
  return shown;
}

std::int32_t to_ms(std::int64_t microseconds) {
  return static_cast<std::int32_t>((microseconds + kUsPerMs - 1) / kUsPerMs);
}

Datum share(std::int64_t part, std::int64_t whole) {
  return Float8GetDatum(whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole));
}

std::vector<Datum> breaker_rows(FunctionCallInfo fcinfo) {
  std::vector<Datum> rows;
  for (const Shown& provider : show_all()) {
    const BreakerCounts& counts = provider.counts;
    rows.push_back(pg::ResultRow()
                       .text(provider.name)
                       .text(name_of(provider.state))
                       .add_int32(counts.calls)
                       .add(share(counts.failures, counts.calls))
                       .add(share(counts.slow, counts.calls))
                       .add_int32(provider.trials_out)
                       .add_int32(to_ms(provider.retry_after))
                       .add(Int64GetDatum(provider.times_opened))
                       .finish(fcinfo));
  }
  return rows;
}

std::vector<Datum> latency_rows(FunctionCallInfo fcinfo) {
  std::vector<Datum> rows;
  for (const Shown& provider : show_all()) {
    const RecentLatency::Summary& recent = provider.recent;
    pg::ResultRow row;
    row.text(provider.name)
        .add(Int64GetDatum(static_cast<std::int64_t>(recent.calls)))
        .add(share(static_cast<std::int64_t>(recent.errors),
                   static_cast<std::int64_t>(recent.calls)));
    for (const double percentile : {0.5, 0.9, 0.95, 0.99}) {
      if (recent.latency.count() == 0)
        row.null();
      else
        row.add(Float8GetDatum(recent.latency.percentile(percentile)));
    }
    if (recent.latency.count() == 0)
      row.null();
    else
      row.add(Float8GetDatum(recent.latency.mean()));
    rows.push_back(row.add(Int64GetDatum(provider.successes))
                       .add(Int64GetDatum(provider.failures))
                       .finish(fcinfo));
  }
  return rows;
}

void define_settings() {
  const auto milliseconds = [](const char* name, const char* meaning, int* value, int standard) {
    pg::define({name, meaning, value, standard, 1, 86'400'000, pg::Changes::by_reload,
                pg::Unit::milliseconds});
  };
  milliseconds("holdfast.breaker_window_ms", "How far back a circuit breaker counts calls.",
               &window_ms, 60'000);
  milliseconds("holdfast.breaker_slow_ms", "A call that takes longer is a slow one.", &slow_ms,
               5'000);
  milliseconds("holdfast.breaker_open_ms", "How long an open circuit breaker lets no call through.",
               &open_ms, 60'000);
  milliseconds("holdfast.breaker_trial_patience_ms",
               "After this time a trial call that nobody reported makes room for another.",
               &trial_patience_ms, 120'000);
  pg::define({"holdfast.breaker_minimum_calls",
              "With fewer calls in its window a circuit breaker stays closed.", &minimum_calls, 10,
              1, 1'000'000});
  pg::define({"holdfast.breaker_threshold_percent",
              "Above this share of failed, or of slow, calls a circuit breaker opens.",
              &threshold_percent, 50, 0, 100});
}

} // namespace

void start() {
  define_settings();
  area.request([] { return sizeof(Places); }, [](void* memory) { new (memory) Places(); });
}

bool is_watched() {
  return area.is_there();
}

std::optional<std::int32_t> wait_ms(const std::string& provider) {
  if (!is_watched()) return std::nullopt;
  const BreakerRules by = rules();
  Places& table = places();
  const pg::Locked lock(area, pg::Locked::Mode::shared);
  const std::int64_t now = pg::steady_us();
  const Place* place = find(table, provider);
  if (place == nullptr || place->breaker.retry_after(now, by) == 0) return std::nullopt;
  return to_ms(place->breaker.retry_after(now, by));
}

Error refusal(const std::string& provider, std::int32_t retry_after_ms) {
  return unavailable("The circuit breaker of provider " + provider + " is open.")
      .detail(JsonObject()
                  .text("code", "circuit_open")
                  .text("provider", provider)
                  .number("retryAfterMs", retry_after_ms)
                  .str())
      .hint("Its calls fail or are slow. Try again later, or ask another provider.");
}

Breaker::Admission admit(const std::string& provider) {
  const BreakerRules by = rules();
  Places& table = places();
  const pg::Locked lock(area, pg::Locked::Mode::exclusive);
  const std::int64_t now = pg::steady_us();
  return find_or_make(table, provider, now, by).breaker.admit(now, by);
}

BreakerState report(const std::string& provider, bool ok, std::int64_t latency_ms,
                    std::int64_t trial) {
  const BreakerRules by = rules();
  Places& table = places();
  bool has_opened = false;
  BreakerState state = BreakerState::closed;
  {
    const pg::Locked lock(area, pg::Locked::Mode::exclusive);
    const std::int64_t now = pg::steady_us();
    Place& place = find_or_make(table, provider, now, by);
    const std::int64_t times_opened = place.breaker.times_opened();
    place.breaker.report(now, by, ok, latency_ms * kUsPerMs, trial);
    place.latency.add(now, static_cast<double>(latency_ms), ok);
    ++(ok ? place.successes : place.failures);
    has_opened = place.breaker.times_opened() != times_opened;
    state = place.breaker.state(now, by);
  }
  if (has_opened)
    events::send(events::Kind::alert, std::nullopt,
                 JsonObject().text("alert", "circuit_open").text("provider", provider));
  return state;
}

void give_back(const std::string& provider, std::int64_t trial) {
  Places& table = places();
  const pg::Locked lock(area, pg::Locked::Mode::exclusive);
  if (Place* place = find(table, provider); place != nullptr) place->breaker.give_back(trial);
}

bool forget(const std::string& provider) {
  Places& table = places();
  const pg::Locked lock(area, pg::Locked::Mode::exclusive);
  Place* place = find(table, provider);
  if (place == nullptr) return false;
  *place = Place();
  return true;
}

std::optional<double> median_ms(const std::string& provider) {
  if (!is_watched()) return std::nullopt;
  Places& table = places();
  auto copy = std::make_unique<RecentLatency>();
  {
    const pg::Locked lock(area, pg::Locked::Mode::shared);
    const Place* place = find(table, provider);
    if (place == nullptr) return std::nullopt;
    *copy = place->latency;
  }
  const LatencySketch recent = copy->summary(pg::steady_us()).latency;
  if (recent.count() < kEnoughCalls) return std::nullopt;
  return recent.percentile(0.5);
}

} // namespace holdfast::provider_health

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_breaker_admit) {
  const std::string provider = pg::Arguments(fcinfo).text(0, "p_provider");
  const Breaker::Admission admission = provider_health::admit(provider);
  pg::ResultRow row;
  row.add_bool(admission.admitted).text(name_of(admission.state));
  if (admission.trial > 0)
    row.add(Int64GetDatum(admission.trial));
  else
    row.null();
  return row.add_int32(provider_health::to_ms(admission.retry_after)).finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_breaker_report) {
  const pg::Arguments arguments(fcinfo);
  const std::string provider = arguments.text(0, "p_provider");
  const bool ok = arguments.boolean(1, "p_ok");
  const std::int32_t latency_ms = arguments.integer(2, "p_latency_ms");
  if (latency_ms < 0 || latency_ms > provider_health::kMostLatencyMs)
    throw bad_value("p_latency_ms is " + std::to_string(latency_ms) + ", outside 0 to one day.")
        .detail(JsonObject().text("field", "p_latency_ms").number("value", latency_ms).str());
  const std::int64_t trial =
      arguments.is_null(3) ? 0 : DatumGetInt64(arguments.required(3, "p_trial"));
  return pg::from_text(name_of(provider_health::report(provider, ok, latency_ms, trial)));
}

HOLDFAST_FUNCTION(holdfast_breaker_give_back) {
  const pg::Arguments arguments(fcinfo);
  provider_health::give_back(arguments.text(0, "p_provider"),
                             DatumGetInt64(arguments.required(1, "p_trial")));
  return BoolGetDatum(true);
}

HOLDFAST_FUNCTION(holdfast_reset_breaker) {
  return BoolGetDatum(provider_health::forget(pg::Arguments(fcinfo).text(0, "p_provider")));
}

HOLDFAST_FUNCTION(holdfast_breakers) {
  return pg::return_rows(fcinfo, provider_health::breaker_rows);
}

HOLDFAST_FUNCTION(holdfast_provider_latencies) {
  return pg::return_rows(fcinfo, provider_health::latency_rows);
}
