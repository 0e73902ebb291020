// Counters of how calls were routed and what they cost, in shared memory.
#include "extension/telemetry.hpp"

#include "extension/pg/arguments.hpp"
#include "extension/pg/shared_area.hpp"

namespace holdfast::telemetry {

namespace {

constexpr std::size_t kMostProviders = 64;
constexpr std::size_t kMostFallbacks = 128;
constexpr std::size_t kMostNameBytes = 63;
constexpr Int128 kUnitsPerNano = 1'000'000'000; // of 1e-18 USD
constexpr std::int64_t kTokensOfPrice = 1'000'000;
constexpr std::array<const char*, 3> kStrategies = {"cheapest", "fastest", "specified"};

using Name = std::array<char, kMostNameBytes + 1>;

// A provider as one database used it. Amounts are whole billionths of a USD.
struct Uses {
  Oid database = InvalidOid; // InvalidOid: nobody's
  Name provider{};
  std::array<std::int64_t, kStrategies.size()> chosen{};
  std::int64_t tokens = 0;
  std::int64_t nano_usd = 0;
  std::uint64_t last_use = 0; // by Counters::clock
};

struct Fallback {
  Oid database = InvalidOid;
  Name from{};
  Name to{};
  std::int64_t calls = 0;
  std::uint64_t last_use = 0;
};

struct Counters {
  std::array<Uses, kMostProviders> uses;
  std::array<Fallback, kMostFallbacks> fallbacks;
  std::uint64_t clock = 0;
};

pg::SharedArea area("holdfast telemetry");

Counters& counters() {
  return *static_cast<Counters*>(area.get());
}

Name name_of(const std::string& text) {
  Name name{};
  std::memcpy(name.data(), text.data(), std::min(text.size(), kMostNameBytes));
  return name;
}

// The one that is ours, else the one that was used longest ago or never: of a database that was
// dropped, for instance. `is_ours` tells ours, `claim` makes another ours.
template <typename All, typename IsOurs, typename Claim>
auto& find(All& all, std::uint64_t& clock, IsOurs is_ours, Claim claim) {
  auto* found = std::find_if(all.begin(), all.end(), is_ours);
  if (found == all.end()) {
    found = std::min_element(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return a.last_use < b.last_use; });
    *found = {};
    found->database = MyDatabaseId;
    claim(*found);
  }
  found->last_use = ++clock;
  return *found;
}

Uses& find(Counters& all, const Name& provider) {
  return find(
      all.uses, all.clock,
      [&](const Uses& uses) { return uses.database == MyDatabaseId && uses.provider == provider; },
      [&](Uses& uses) { uses.provider = provider; });
}

Fallback& find(Counters& all, const Name& from, const Name& to) {
  return find(
      all.fallbacks, all.clock,
      [&](const Fallback& each) {
        return each.database == MyDatabaseId && each.from == from && each.to == to;
      },
      [&](Fallback& each) {
        each.from = from;
        each.to = to;
      });
}

std::unique_ptr<Counters> copy_all() {
  auto copy = std::make_unique<Counters>();
  const Counters& all = counters();
  const pg::Locked lock(area, pg::Locked::Mode::shared);
  *copy = all;
  return copy;
}

std::vector<Datum> uses_rows(FunctionCallInfo fcinfo) {
  const std::unique_ptr<Counters> all = copy_all();
  std::vector<Datum> rows;
  for (const Uses& uses : all->uses) {
    if (uses.database != MyDatabaseId) continue;
    const Usd spent = Usd::from_units(uses.nano_usd * kUnitsPerNano);
    pg::ResultRow row;
    row.text(uses.provider.data());
    for (const std::int64_t chosen : uses.chosen)
      row.add(Int64GetDatum(chosen));
    row.add(Int64GetDatum(uses.tokens)).add(spent);
    if (uses.tokens > 0)
      row.add(Usd::from_units(spent.units() * kTokensOfPrice / uses.tokens));
    else
      row.null();
    rows.push_back(row.finish(fcinfo));
  }
  return rows;
}

std::vector<Datum> fallback_rows(FunctionCallInfo fcinfo) {
  const std::unique_ptr<Counters> all = copy_all();
  std::vector<Datum> rows;
  for (const Fallback& each : all->fallbacks)
    if (each.database == MyDatabaseId)
      rows.push_back(pg::ResultRow()
                         .text(each.from.data())
                         .text(each.to.data())
                         .add(Int64GetDatum(each.calls))
                         .finish(fcinfo));
  return rows;
}

} // namespace

void start() {
  area.request([] { return sizeof(Counters); }, [](void* memory) { new (memory) Counters(); });
}

void count_choice(const std::string& provider, const std::string& strategy) {
  if (!area.is_there()) return;
  const Name name = name_of(provider);
  const auto at = static_cast<std::size_t>(
      std::find(kStrategies.begin(), kStrategies.end(), strategy) - kStrategies.begin());
  Counters& all = counters();
  const pg::Locked lock(area, pg::Locked::Mode::exclusive);
  Uses& uses = find(all, name);
  if (at < kStrategies.size()) ++uses.chosen[at];
}

void count_charge(const std::string& provider, std::int64_t tokens, Usd cost) {
  if (!area.is_there()) return;
  const Name name = name_of(provider);
  const auto nano = static_cast<std::int64_t>(cost.units() / kUnitsPerNano);
  Counters& all = counters();
  const pg::Locked lock(area, pg::Locked::Mode::exclusive);
  Uses& uses = find(all, name);
  uses.tokens += tokens;
  uses.nano_usd += nano;
}

void count_fallback(const std::string& from, const std::string& to) {
  if (!area.is_there() || from == to) return;
  const Name from_name = name_of(from);
  const Name to_name = name_of(to);
  Counters& all = counters();
  const pg::Locked lock(area, pg::Locked::Mode::exclusive);
  ++find(all, from_name, to_name).calls;
}

} // namespace holdfast::telemetry

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_provider_uses) {
  return pg::return_rows(fcinfo, telemetry::uses_rows);
}

HOLDFAST_FUNCTION(holdfast_provider_fallbacks) {
  return pg::return_rows(fcinfo, telemetry::fallback_rows);
}
