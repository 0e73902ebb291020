// Six limits, one decision, in shared memory.
#include "extension/rate_limit.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/events.hpp"
#include "extension/organization.hpp"
#include "extension/pg/arguments.hpp"
#include "extension/pg/claims.hpp"
#include "extension/pg/file.hpp"
#include "extension/pg/lock.hpp"
#include "extension/pg/settings.hpp"
#include "extension/pg/shared_area.hpp"
#include "extension/pg/spi.hpp"

namespace holdfast::rate_limit {

namespace {

constexpr int kTooManyRequests = 429;
constexpr const char* kFile = "pg_stat/holdfast_limits.stat";
constexpr std::int64_t kUsPerMs = 1000;
constexpr std::size_t kBytesPerKb = 1024;
constexpr std::int64_t kMinuteUs = 60'000'000;

int memory_kb = 0;
int cooldown_ms = 0;
int most_cooldown_ms = 0;
int save_interval = 0;

pg::SharedArea area("holdfast limits");

RateLimiter& limiter() {
  return *static_cast<RateLimiter*>(area.get());
}

std::size_t most_bytes() {
  return static_cast<std::size_t>(memory_kb) * kBytesPerKb;
}

// --- the limits in force
// --------------------------------------------------------------------------

struct Rule {
  LimitLayer layer;
  std::string route; // empty: of all routes
  Limit limit;
};

constexpr std::array<Limit, kLimitLayers> kShipped = {{{100, -1, kMinuteUs},
                                                       {300, -1, kMinuteUs},
                                                       {500, -1, kMinuteUs},
                                                       {20, -1, 5 * kMinuteUs},
                                                       {1'000, -1, kMinuteUs},
                                                       {5'000, -1, kMinuteUs}}};

pg::Statement list_rules("SELECT layer, route, coalesce(requests, -1), coalesce(tokens, -1),"
                         " window_ms FROM holdfast.rate_limits");
pg::Statement find_table("SELECT 'holdfast.rate_limits'::regclass::oid");

std::vector<Rule> rules;
Oid rules_table = InvalidOid;
bool are_known = false;

// Runs inside the server's invalidation machinery: it must neither throw nor touch the catalog.
void on_relation_change(Datum, Oid relation) {
  if (relation == rules_table || relation == InvalidOid) are_known = false;
}

LimitLayer layer_named(const std::string& name) {
  for (int i = 0; i < kLimitLayers; ++i)
    if (name == name_of(static_cast<LimitLayer>(i))) return static_cast<LimitLayer>(i);
  throw Error("XX000", "table rate_limits has the unknown layer " + name);
}

void know_rules() {
  if (are_known) return;
  rules_table = static_cast<Oid>(DatumGetObjectId(find_table.query()[0].datum(1)));
  are_known = true; // a change that comes while they are read is not missed
  struct Reading {
    bool is_done = false;
    ~Reading() {
      if (!is_done) are_known = false;
    }
  } reading;
  std::vector<Rule> read;
  const pg::Rows rows = list_rules.run();
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const pg::Row row = rows[i];
    read.push_back({layer_named(row.text(1)),
                    row.text(2),
                    {row.integer(3), row.bigint(4), row.integer(5) * kUsPerMs}});
  }
  rules = std::move(read);
  reading.is_done = true;
}

// The layer's limit on this route: of the route's own if it has one, whose requests count apart.
Rule rule_for(LimitLayer layer, const std::optional<std::string>& route) {
  Rule found{layer, "", kShipped[static_cast<std::size_t>(layer)]};
  for (const Rule& rule : rules) {
    if (rule.layer != layer) continue;
    if (route && !rule.route.empty() && rule.route == *route) return rule;
    if (rule.route.empty()) found = rule;
  }
  return found;
}

// --- who is limited
// -------------------------------------------------------------------------------

std::string bytes_of(const Uuid& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

// An address, of IPv6 the network of 64 bits that one subscriber has at least.
std::string address_of(Datum ip) {
  inet* address = pg::call([=] { return DatumGetInetPP(ip); });
  const unsigned char* bytes = ip_addr(address);
  if (ip_family(address) == PGSQL_AF_INET) return {reinterpret_cast<const char*>(bytes), 4};
  static constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0,    0,
                                                            0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), bytes))
    return {reinterpret_cast<const char*>(bytes) + kMapped.size(), 4};
  return {reinterpret_cast<const char*>(bytes), 8};
}

// Who counts as one on this layer; nullopt where the layer does not apply.
std::optional<std::string> subject_of(LimitLayer layer, const Request& request) {
  switch (layer) {
  case LimitLayer::user:
    if (!request.user_id) return std::nullopt;
    return bytes_of(request.organization_id) + *request.user_id;
  case LimitLayer::ip:
    if (!request.ip) return std::nullopt;
    return address_of(*request.ip);
  case LimitLayer::api_key:
    if (!request.api_key_id) return std::nullopt;
    return bytes_of(request.organization_id) + bytes_of(*request.api_key_id);
  case LimitLayer::workflow:
    if (!request.starts_run) return std::nullopt;
    return bytes_of(request.organization_id) + request.user_id.value_or("");
  case LimitLayer::provider:
    return request.provider;
  case LimitLayer::global:
    return "";
  }
  return std::nullopt;
}

// The claims of a request and their layers, in order; what is unlimited is left out.
struct Claims {
  std::array<LimitClaim, kLimitLayers> claims;
  std::array<LimitLayer, kLimitLayers> layers{};
  int count = 0;
};

Claims claims_of(const Request& request) {
  Claims all;
  for (int i = 0; i < kLimitLayers; ++i) {
    const auto layer = static_cast<LimitLayer>(i);
    const std::optional<std::string> subject = subject_of(layer, request);
    if (!subject) continue;
    Rule rule = rule_for(layer, request.route);
    if (layer == LimitLayer::api_key && rule.route.empty()) {
      if (request.key_requests) rule.limit.requests = *request.key_requests;
      if (request.key_tokens) rule.limit.tokens = *request.key_tokens;
      if (request.key_requests || request.key_tokens) rule.limit.window = kMinuteUs;
    }
    if (rule.limit.requests < 0 && rule.limit.tokens < 0) continue;
    const std::string key =
        std::to_string(MyDatabaseId) + ' ' + name_of(layer) + ' ' + rule.route + '\0' + *subject;
    const bool is_shared = layer == LimitLayer::provider || layer == LimitLayer::global;
    const auto at = static_cast<std::size_t>(all.count++);
    all.claims[at] = {siphash(limiter().secret(), key), rule.limit, !is_shared};
    all.layers[at] = layer;
  }
  return all;
}

void record_denial(const Request& request, const Decision& decision) {
  audit::Entry entry;
  entry.organization_id = request.organization_id;
  entry.event = "limited";
  entry.status = kTooManyRequests;
  entry.ids = request.ids;
  entry.workflow_id = request.workflow_id;
  entry.user_id = request.user_id;
  entry.api_key_id = request.api_key_id;
  entry.route = request.route;
  entry.provider = request.provider;
  JsonObject detail;
  detail.text("layer", name_of(*decision.layer))
      .text("unit", name_of(decision.unit))
      .number("limit", decision.limit)
      .number("windowMs", decision.window / kUsPerMs)
      .number("retryAfterMs", decision.retry_after_ms)
      .number("tokens", request.tokens);
  if (request.ip) detail.text("ip", pg::inet_text(*request.ip));
  entry.detail = detail.str();
  if (request.user_id) detail.text("userId", *request.user_id);
  events::send(events::Kind::denial, request.organization_id, detail);
  audit::record_denial(entry);
  pg::set_response_status(kTooManyRequests);
}

std::int32_t to_ms(std::int64_t microseconds) {
  return static_cast<std::int32_t>((microseconds + kUsPerMs - 1) / kUsPerMs);
}

// --- the memory and its file
// ----------------------------------------------------------------------

std::int64_t wall_us() {
  return GetCurrentTimestamp();
}

// At the server's start. What an earlier server saved is taken up again.
void make_memory(void* memory) {
  HashSecret secret{};
  if (!pg_strong_random(secret.data(), sizeof(secret))) secret = {0x9e3779b97f4a7c15, 1};
  RateLimiter* made = RateLimiter::make(memory, most_bytes(), secret);
  const pg::FileBytes saved = pg::read_file(kFile);
  if (saved.bytes == nullptr) return;
  if (!made->load(saved.bytes.get(), saved.count, pg::steady_us(), wall_us()))
    RateLimiter::make(memory, most_bytes(), secret);
}

void save_memory(void* memory) {
  auto* counted = static_cast<RateLimiter*>(memory);
  const std::unique_ptr<char[]> bytes(
      new (std::nothrow) char[RateLimiter::bytes_for(most_bytes())]);
  if (bytes == nullptr) return;
  pg::write_file(kFile, bytes.get(), counted->save(bytes.get(), pg::steady_us(), wall_us()));
}

void define_settings() {
  pg::define({"holdfast.rate_limit_memory",
              "Shared memory for rate limits; when it is full, the coldest keys are given up.",
              &memory_kb, 16 * 1024, 1024, 4 * 1024 * 1024, pg::Changes::at_start,
              pg::Unit::kilobytes});
  pg::define({"holdfast.rate_limit_cooldown_ms",
              "How long who offends a second time is shut out; then twice as long each time.",
              &cooldown_ms, 60'000, 0, 3'600'000, pg::Changes::by_reload, pg::Unit::milliseconds});
  pg::define({"holdfast.rate_limit_cooldown_most_ms", "The longest that anyone is shut out.",
              &most_cooldown_ms, 3'600'000, 0, 86'400'000, pg::Changes::by_reload,
              pg::Unit::milliseconds});
  pg::define({"holdfast.rate_limit_save_interval_ms",
              "How often what is counted is written to a file; a crash forgets what came since.",
              &save_interval, 5'000, 100, 3'600'000, pg::Changes::by_reload,
              pg::Unit::milliseconds});
}

} // namespace

void start() {
  define_settings();
  pg::on_relation_change(on_relation_change);
  area.request([] { return static_cast<Size>(RateLimiter::bytes_for(most_bytes())); }, make_memory,
               save_memory);
}

bool is_on() {
  return area.is_there();
}

Decision decide(const Request& request) {
  RateLimiter& counted = limiter();
  know_rules();
  const Claims claims = claims_of(request);
  const CooldownRules cooldown{cooldown_ms * kUsPerMs, most_cooldown_ms * kUsPerMs};
  LimitVerdict verdict;
  {
    const pg::Locked lock(area, pg::Locked::Mode::exclusive);
    verdict = counted.decide(claims.claims.data(), claims.count, request.tokens, pg::steady_us(),
                             cooldown);
  }
  Decision decision;
  if (verdict.claim < 0) return decision;
  const auto at = static_cast<std::size_t>(verdict.claim);
  decision.allowed = verdict.admitted;
  decision.layer = claims.layers[at];
  decision.unit = verdict.unit;
  decision.limit = verdict.limit;
  decision.remaining = verdict.remaining;
  decision.window = claims.claims[at].limit.window;
  decision.reset_ms = to_ms(verdict.reset);
  decision.retry_after_ms = to_ms(verdict.retry_after);
  if (!decision.allowed && !request.waits) record_denial(request, decision);
  return decision;
}

std::int32_t save_interval_ms() {
  return save_interval;
}

void save_if_due() {
  static std::int64_t saved_at = 0;
  static std::int64_t saved_decisions = 0;
  if (!is_on()) return;
  const std::int64_t now = pg::steady_us();
  if (now - saved_at < save_interval * kUsPerMs) return;
  saved_at = now;
  const std::unique_ptr<char[]> bytes(new char[RateLimiter::bytes_for(most_bytes())]);
  std::size_t count = 0;
  {
    const pg::Locked lock(area, pg::Locked::Mode::shared);
    const std::int64_t decisions = limiter().figures().decisions;
    if (decisions == saved_decisions) return;
    saved_decisions = decisions;
    count = limiter().save(bytes.get(), pg::steady_us(), wall_us());
  }
  pg::write_file(kFile, bytes.get(), count);
}

} // namespace holdfast::rate_limit

using namespace holdfast;

HOLDFAST_FUNCTION(holdfast_rate_limits_changed) {
  pg::invalidate_trigger_table(fcinfo);
  return PointerGetDatum(nullptr);
}

HOLDFAST_FUNCTION(holdfast_check_rate_limit) {
  const pg::Arguments arguments(fcinfo);
  rate_limit::Request request;
  request.organization_id = arguments.uuid(0, "p_organization_id");
  request.user_id = arguments.optional_text(1, "p_user_id");
  if (!arguments.is_null(2)) request.ip = arguments.required(2, "p_ip");
  request.api_key_id = arguments.optional_uuid(3);
  request.provider = arguments.optional_text(4, "p_provider");
  request.tokens = arguments.integer(5, "p_tokens");
  request.route = arguments.optional_text(6, "p_route");
  request.starts_run = arguments.boolean(7, "p_starts_run");
  request.workflow_id = arguments.optional_uuid(8);
  if (request.tokens < 0)
    throw bad_value("p_tokens is " + std::to_string(request.tokens) + ", below 0.")
        .detail(JsonObject().text("field", "p_tokens").number("value", request.tokens).str());
  organization::require(request.organization_id);
  rate_limit::Decision decision;
  {
    pg::Spi spi;
    decision = rate_limit::decide(request);
  }
  pg::ResultRow row;
  row.add_bool(decision.allowed);
  if (!decision.layer) return row.null().null().null().null().null().null().finish(fcinfo);
  return row.text(name_of(*decision.layer))
      .text(name_of(decision.unit))
      .add(Int64GetDatum(decision.limit))
      .add(Int64GetDatum(decision.remaining))
      .add_int32(decision.reset_ms)
      .add_int32(decision.retry_after_ms)
      .finish(fcinfo);
}

HOLDFAST_FUNCTION(holdfast_rate_limit_memory) {
  RateLimiter::Figures figures;
  const RateLimiter& counted = rate_limit::limiter();
  {
    const pg::Locked lock(rate_limit::area, pg::Locked::Mode::shared);
    figures = counted.figures();
  }
  return pg::ResultRow()
      .add(Int64GetDatum(figures.keys))
      .add(Int64GetDatum(figures.most_keys))
      .add(Int64GetDatum(figures.blocks))
      .add(Int64GetDatum(figures.most_blocks))
      .add(Int64GetDatum(figures.decisions))
      .add(Int64GetDatum(figures.violations))
      .add(Int64GetDatum(figures.given_up))
      .finish(fcinfo);
}
