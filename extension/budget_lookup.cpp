// Which budgets apply to a call.
#include "extension/budget_counter.hpp"

#include "extension/core/error.hpp"
#include "extension/core/period.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/spi.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace holdfast::budget {

namespace {

constexpr std::string_view kScopes[] = {"workflow", "user", "api_key", "community",
                                        "provider", "tool", "credits", "organization"};
constexpr std::string_view kWorkflow = kScopes[0];
constexpr std::string_view kOrganization = kScopes[7];

// Which kinds of budgets an organization has: most have none but its month, and need no look-up.
enum Kind : std::int32_t {
  kHasScoped = 1, // any budget but the organization's month
  kHasAdvice = 2, // a soft limit or a downgrade threshold
  kHasMonthLimit = 4,
  kHasDefaults = 8, // budgets that every subject of a scope has
};

struct UuidHash {
  std::size_t operator()(const Uuid& uuid) const {
    std::size_t hash = 0;
    std::memcpy(&hash, uuid.bytes.data() + 8, sizeof(hash));
    return hash;
  }
};

constexpr std::size_t kMostKinds = 10'000; // then they are forgotten, and looked up again
std::unordered_map<Uuid, std::int32_t, UuidHash> kinds;
Oid budgets_table = InvalidOid;
bool stale = false;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == budgets_table || relation == InvalidOid) stale = true;
}

constexpr Oid kKindTypes[] = {UUIDOID};
pg::Statement find_kinds(
    "SELECT CASE WHEN EXISTS (SELECT FROM holdfast.budgets"
    "   WHERE organization_id = $1 AND budget_id <> $1) THEN 1 ELSE 0 END"
    " + CASE WHEN EXISTS (SELECT FROM holdfast.budgets WHERE organization_id = $1"
    "   AND (soft_limit_usd IS NOT NULL OR downgrade_at_usd IS NOT NULL)) THEN 2 ELSE 0 END"
    " + CASE WHEN EXISTS (SELECT FROM holdfast.budgets WHERE organization_id = $1"
    "   AND budget_id = $1 AND limit_usd IS NOT NULL) THEN 4 ELSE 0 END,"
    " 'holdfast.budgets'::regclass::oid, to_regclass('holdfast.budget_defaults') IS NOT NULL",
    kKindTypes);
// The library may be newer than the extension in this database, which then has no defaults.
pg::Statement find_defaults("SELECT CASE WHEN EXISTS (SELECT FROM holdfast.budget_defaults"
                            " WHERE organization_id = $1) THEN 8 ELSE 0 END",
                            kKindTypes);

std::int32_t kinds_of(const Uuid& organization_id) {
  if (stale || kinds.size() > kMostKinds) kinds.clear();
  stale = false;
  const auto known = kinds.find(organization_id);
  if (known != kinds.end()) return known->second;
  const pg::Parameters parameters = pg::Parameters().add(organization_id);
  const pg::Row row = find_kinds.run(parameters)[0];
  budgets_table = DatumGetObjectId(row.datum(2));
  std::int32_t found = row.integer(1);
  if (row.boolean(3)) found |= find_defaults.run(parameters)[0].integer(1);
  if (!stale) kinds.emplace(organization_id, found);
  return found;
}

#define HOLDFAST_BUDGET_APPLIES                                                                    \
  " b.organization_id = $1 AND (b.scope = 'organization'"                                          \
  " OR (b.scope = 'workflow' AND b.subject = $2) OR (b.scope = 'user' AND b.subject = $3)"         \
  " OR (b.scope = 'api_key' AND b.subject = $4) OR (b.scope = 'community' AND b.subject = $5)"     \
  " OR (b.scope = 'provider' AND b.subject = $6) OR (b.scope = 'tool' AND b.subject = $7)"         \
  " OR (b.scope = 'credits' AND b.subject IN ($8, $9)))"
constexpr Oid kSubjectTypes[] = {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
                                 TEXTOID, TEXTOID, TEXTOID, TEXTOID};
pg::Statement find_scoped("SELECT b.budget_id, b.scope, b.period FROM holdfast.budgets b"
                          " WHERE b.budget_id <> $1 AND" HOLDFAST_BUDGET_APPLIES,
                          kSubjectTypes);

// Budgets that a call's subjects have by default, and that no earlier call has made.
#define HOLDFAST_BUDGET_MISSING                                                                    \
  " FROM holdfast.budget_defaults d JOIN (VALUES ('user', $3), ('api_key', $4), ('community', "    \
  "$5),"                                                                                           \
  "   ('provider', $6), ('tool', $7)) v(scope, subject) ON v.scope = d.scope"                      \
  " WHERE d.organization_id = $1 AND v.subject IS NOT NULL AND NOT EXISTS ("                       \
  "   SELECT FROM holdfast.budgets b WHERE b.organization_id = d.organization_id"                  \
  "   AND b.scope = d.scope AND b.subject = v.subject AND b.period = d.period)"
pg::Statement find_missing("SELECT count(*) > 0" HOLDFAST_BUDGET_MISSING, kSubjectTypes);
pg::Statement make_missing(
    "INSERT INTO holdfast.budgets (organization_id, scope, subject, period, limit_usd,"
    " soft_limit_usd, downgrade_at_usd, downgrade_model, source)"
    " SELECT d.organization_id, d.scope, v.subject, d.period, d.limit_usd, d.soft_limit_usd,"
    " d.downgrade_at_usd, d.downgrade_model, 'default'" HOLDFAST_BUDGET_MISSING
    " ON CONFLICT DO NOTHING",
    kSubjectTypes);
#undef HOLDFAST_BUDGET_MISSING

constexpr Oid kAdviceTypes[] = {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
                                TEXTOID, TEXTOID, TEXTOID, DATEOID, DATEOID, DATEOID};
pg::Statement find_advice(
    "SELECT b.scope, used >= b.soft_limit_usd, b.downgrade_model, used >= b.downgrade_at_usd"
    " FROM holdfast.budgets b, LATERAL (SELECT coalesce(sum(c.spent + c.held), 0) AS used"
    "   FROM holdfast.budget_counters c WHERE c.budget_id = b.budget_id"
    "   AND c.organization_id = b.organization_id AND c.period_start = CASE b.period"
    "     WHEN 'day' THEN $10 WHEN 'week' THEN $11 WHEN 'month' THEN $12 ELSE '-infinity' END) u"
    " WHERE" HOLDFAST_BUDGET_APPLIES " AND (used >= b.soft_limit_usd OR used >= b.downgrade_at_usd)"
    " ORDER BY b.scope, b.subject, b.period",
    kAdviceTypes);
#undef HOLDFAST_BUDGET_APPLIES

pg::Parameters subject_parameters(const Subject& subject) {
  const auto uuid_text = [](const std::optional<Uuid>& uuid) {
    return uuid ? std::optional(uuid->str()) : std::nullopt;
  };
  const auto account = [](const char* kind, const std::optional<std::string>& id) {
    return id ? std::optional(kind + *id) : std::nullopt;
  };
  const std::optional<std::string> community = uuid_text(subject.community_id);
  pg::Parameters parameters;
  parameters.add(subject.organization_id)
      .text(uuid_text(subject.workflow_id))
      .text(subject.user_id)
      .text(uuid_text(subject.api_key_id))
      .text(community)
      .text(subject.provider)
      .text(subject.tool)
      .text(account("user:", subject.user_id))
      .text(account("community:", community));
  return parameters;
}

std::string_view known_scope(const std::string& name) {
  for (const std::string_view scope : kScopes) {
    if (scope == name) return scope;
  }
  throw Error("XX000", "a budget has the unknown scope " + name);
}

// The first call that names a subject makes the budgets that it has by default. They begin with
// nothing: whoever had spent before was given them when the default was set.
void make_defaults(const Subject& subject) {
  const pg::Parameters parameters = subject_parameters(subject);
  if (!find_missing.run(parameters)[0].boolean(1)) return;
  pg::lock_new_budgets(subject.organization_id); // no two sessions wait for each other's budgets
  make_missing.run(parameters);
}

void add_scoped(const Subject& subject, std::int32_t today, std::vector<Applicable>& counters) {
  const pg::Rows rows = find_scoped.run(subject_parameters(subject));
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    const Period period = parse_period(row.text(3)).value();
    counters.push_back({{row.uuid(1), subject.organization_id, period_start(period, today)},
                        known_scope(row.text(2))});
  }
}

} // namespace

bool operator<(const CounterKey& a, const CounterKey& b) {
  const bool a_shared = a.is_shared();
  const bool b_shared = b.is_shared();
  return std::tie(a_shared, a.budget_id, a.organization_id, a.period_start) <
         std::tie(b_shared, b.budget_id, b.organization_id, b.period_start);
}

bool operator==(const CounterKey& a, const CounterKey& b) {
  return a.budget_id == b.budget_id && a.organization_id == b.organization_id &&
         a.period_start == b.period_start;
}

std::optional<Usd> Figures::remaining() const {
  if (!limit) return std::nullopt;
  return *limit - spent - held;
}

void start() {
  pg::on_relation_change(on_relation_change);
  watch_counters();
  watch_holds();
}

void pin_budgets(const Uuid& organization_id) {
  pg::lock_organization(organization_id, pg::LockKind::shared);
}

bool month_is_limited(const Uuid& organization_id) {
  return (kinds_of(organization_id) & kHasMonthLimit) != 0;
}

bool has_scoped_budgets(const Uuid& organization_id) {
  return (kinds_of(organization_id) & (kHasScoped | kHasDefaults)) != 0;
}

std::vector<Applicable> counters_of(const Subject& subject, TimestampTz now) {
  const std::int32_t today = pg::utc_day(now);
  std::vector<Applicable> counters;
  if (subject.workflow_id)
    counters.push_back(
        {{*subject.workflow_id, subject.organization_id, kNoPeriodStart}, kWorkflow});
  const std::int32_t has = kinds_of(subject.organization_id);
  if ((has & kHasDefaults) != 0) make_defaults(subject);
  if (has_scoped_budgets(subject.organization_id)) add_scoped(subject, today, counters);
  counters.push_back(
      {{subject.organization_id, subject.organization_id, period_start(Period::month, today)},
       kOrganization});
  std::sort(counters.begin(), counters.end(),
            [](const Applicable& a, const Applicable& b) { return a.key < b.key; });
  return counters;
}

Advice advice_for(const Subject& subject, TimestampTz now) {
  Advice advice;
  if ((kinds_of(subject.organization_id) & kHasAdvice) == 0) return advice;
  const std::int32_t today = pg::utc_day(now);
  const pg::Rows rows = find_advice.run(subject_parameters(subject)
                                            .date(today)
                                            .date(period_start(Period::week, today))
                                            .date(period_start(Period::month, today)));
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    if (!advice.warning && !row.is_null(2) && row.boolean(2)) advice.warning = row.text(1);
    if (!advice.downgrade_model && !row.is_null(4) && row.boolean(4))
      advice.downgrade_model = row.text(3);
  }
  return advice;
}

} // namespace holdfast::budget

using namespace holdfast;

// Fires after any statement that wrote budgets: every server process then looks them up anew.
HOLDFAST_FUNCTION(holdfast_budgets_changed) {
  pg::invalidate_trigger_table(fcinfo);
  return PointerGetDatum(nullptr);
}

// Keeps holds and settlements of the organization out until the transaction ends.
HOLDFAST_FUNCTION(holdfast_lock_organization) {
  pg::lock_organization(pg::Arguments(fcinfo).uuid(0, "p_organization_id"),
                        pg::LockKind::exclusive);
  return BoolGetDatum(true);
}
