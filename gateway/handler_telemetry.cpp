#include "gateway/handler_telemetry.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_read.hpp"
#include "gateway/json_text.hpp"
#include "gateway/metrics.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

constexpr std::array<std::string_view, 3> kBreakerStates = {"closed", "half_open", "open"};

// Without telling by its time how much of the token was right.
bool is_same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(secret[i % secret.size()]);
  return difference == 0;
}

bool is_loopback(const std::string& address) {
  return address == "::1" || address.rfind("127.", 0) == 0 || address.rfind("::ffff:127.", 0) == 0;
}

// --- /metrics
// ------------------------------------------------------------------------------------

void write_gauges(std::string& text, Services& services) {
  const auto settlements = services.settlements.figures();
  const auto pool = services.database.pool().figures();
  const auto gauge = [&](std::string_view name, std::string_view help, std::size_t value) {
    write_single(text, name, "gauge", help, std::to_string(value));
  };
  gauge("holdfast_calls_in_flight", "Calls whose settlement is not yet in the database.",
        settlements.calls);
  gauge("holdfast_holds_open", "Holds of this gateway that are kept alive.",
        services.holds.count());
  gauge("holdfast_settlements_waiting", "Settlements that wait for the database.",
        settlements.waiting);
  gauge("holdfast_settlements_waiting_bytes", "Memory that they take.", settlements.bytes);
  gauge("holdfast_spool_files", "Files of settlements that an earlier stop left.",
        services.spool.files());
  write_metric(text, "holdfast_database_connections", "gauge", "Connections to the database.");
  write_sample(text, "holdfast_database_connections", metric_label("state", "busy"),
               std::to_string(pool.busy));
  write_sample(text, "holdfast_database_connections", metric_label("state", "idle"),
               std::to_string(pool.idle));
  gauge("holdfast_database_connections_max", "Connections that there may be.", pool.most);
  const auto cache = services.cache.held();
  gauge("holdfast_cache_memory_answers", "Kept answers in memory.", cache.answers);
  gauge("holdfast_cache_memory_bytes", "Memory that they take.", cache.bytes);
  gauge("holdfast_stopping", "1 while a stop goes on.", services.stopping ? 1 : 0);
}

// What all gateways of the database share.
void write_shared(std::string& text, const Telemetry& telemetry) {
  write_single(text, "holdfast_database_up", "gauge", "Whether the database answers.",
               telemetry.is_alive ? "1" : "0");
  const auto& breakers = json_read::member(telemetry.document, "circuitBreakers");
  write_metric(text, "holdfast_circuit_breaker_state", "gauge",
               "1 for the state of a provider's circuit breaker.");
  for (const auto& [provider, breaker] : breakers.items())
    for (const std::string_view state : kBreakerStates)
      write_sample(text, "holdfast_circuit_breaker_state",
                   metric_label("provider", provider) + "," + metric_label("state", state),
                   json_read::text(breaker, "state") == state ? "1" : "0");
  const auto& limits = json_read::member(telemetry.document, "rateLimits");
  if (!limits.is_object()) return;
  write_single(text, "holdfast_rate_limit_decisions_total", "counter",
               "Requests that were counted, since the server's start.",
               limits.value("decisions", nlohmann::json(0)).dump());
  write_single(text, "holdfast_rate_limit_violations_total", "counter",
               "Requests that a rate limit refused, since the server's start.",
               limits.value("totalViolations", nlohmann::json(0)).dump());
  write_single(text, "holdfast_rate_limit_keys", "gauge", "Keys that rate limits remember.",
               limits.value("activeKeys", nlohmann::json(0)).dump());
  write_single(text, "holdfast_rate_limit_keys_given_up_total", "counter",
               "Keys that were given up for want of memory.",
               limits.value("givenUp", nlohmann::json(0)).dump());
}

void answer_metrics(Services& services, TelemetryCache& cache, const httplib::Request& request,
                    httplib::Response& response) {
  if (!may_read_metrics(*services.config.now(), request)) {
    throw HttpError(403, "metrics_forbidden",
                    "Metrics are for whoever has the token of --metrics-token; where none is set, "
                    "for this machine itself.");
  }
  std::string text = metrics().text();
  write_gauges(text, services);
  write_shared(text, *cache.now());
  response.set_content(text, "text/plain; version=0.0.4; charset=utf-8");
}

// --- /api/ai/telemetry
// ---------------------------------------------------------------------------

// Of this gateway alone, since its start.
nlohmann::json cache_figures(Services& services) {
  const auto count = [](CacheEvent event) { return metrics().cache_count(event); };
  const auto held = services.cache.held();
  return {
      {"hits",
       {{"memory", count(CacheEvent::memory_hit)}, {"database", count(CacheEvent::database_hit)}}},
      {"misses", count(CacheEvent::miss)},
      {"waits", count(CacheEvent::wait)},
      {"memory", {{"answers", held.answers}, {"bytes", held.bytes}}}};
}

void answer_telemetry(Services& services, TelemetryCache& cache, RequestContext& context,
                      const httplib::Request& request, httplib::Response& response) {
  const ApiKey key = read_key(request);
  context.organization_id = key.organization_id;
  services.database.authenticate_key(key.organization_id, key.hash);
  const auto telemetry = cache.now();
  if (!telemetry->is_alive) throw database_away();
  response.set_content(with_member(telemetry->text, "cache", dump_json(cache_figures(services))),
                       "application/json");
}

// --- /api/ai/health/full
// -------------------------------------------------------------------------

std::int64_t uptime_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() -
                                                          metrics().started())
      .count();
}

std::string provider_status(const nlohmann::json& telemetry, const std::string& name) {
  const auto& breakers = json_read::member(telemetry, "circuitBreakers");
  const std::string state = json_read::text(json_read::member(breakers, name.c_str()), "state");
  if (state == "open") return "unavailable";
  return state == "half_open" ? "recovering" : "healthy";
}

nlohmann::json providers_component(const Config& config, const nlohmann::json& telemetry) {
  nlohmann::json all = nlohmann::json::object();
  std::size_t available = 0;
  const auto& known = json_read::member(json_read::member(telemetry, "metrics"), "providers");
  for (const ProviderConfig& provider : config.providers) {
    const std::string status = provider_status(telemetry, provider.name);
    available += status == "unavailable" ? 0U : 1U;
    const auto& figures = json_read::member(known, provider.name.c_str());
    const auto& latency = json_read::member(figures, "latency");
    all[provider.name] = {{"status", status},
                          {"latencyMs", json_read::member(latency, "p50")},
                          {"errorRate", json_read::member(figures, "errorRate")}};
  }
  const char* status = available == 0                        ? "unhealthy"
                       : available < config.providers.size() ? "degraded"
                                                             : "healthy";
  return {{"status", status}, {"active", config.providers.size()}, {"providers", std::move(all)}};
}

nlohmann::json breakers_component(const nlohmann::json& telemetry) {
  nlohmann::json open = nlohmann::json::array();
  const auto& breakers = json_read::member(telemetry, "circuitBreakers");
  for (const auto& [provider, breaker] : breakers.items())
    if (json_read::text(breaker, "state") == "open") open.push_back(provider);
  const char* status = open.empty() ? "healthy" : "degraded";
  return {{"status", status}, {"open", std::move(open)}};
}

nlohmann::json database_component(Services& services, const Telemetry& telemetry) {
  const auto pool = services.database.pool().figures();
  return {{"status", telemetry.is_alive ? "healthy" : "unreachable"},
          {"latencyMs", telemetry.latency_ms},
          {"connections", {{"busy", pool.busy}, {"idle", pool.idle}, {"most", pool.most}}},
          {"settlementsWaiting", services.settlements.figures().waiting}};
}

nlohmann::json router_component(const Config& config) {
  nlohmann::json names = nlohmann::json::array();
  for (const ProviderConfig& provider : config.providers)
    names.push_back(provider.name);
  return {{"status", "healthy"},
          {"routingStrategy", "cheapest"},
          {"activeProviders", names.size()},
          {"providers", std::move(names)}};
}

void answer_health(Services& services, TelemetryCache& cache, httplib::Response& response) {
  const auto config = services.config.now();
  const auto telemetry = cache.now();
  // A standard extension of shared memory: without it nothing is limited and no breaker opens.
  const bool preloaded = telemetry->document.value("preloaded", false);
  const bool is_sandbox = config->providers.size() == 1 && config->providers[0].name == "sandbox";
  nlohmann::json components = {{"environment",
                                {{"status", is_sandbox ? "degraded" : "healthy"},
                                 {"version", HOLDFAST_VERSION},
                                 {"sandboxOnly", is_sandbox}}},
                               {"database", database_component(services, *telemetry)},
                               {"providers", providers_component(*config, telemetry->document)},
                               {"circuitBreakers", breakers_component(telemetry->document)},
                               {"rateLimiting",
                                {{"status", !telemetry->is_alive ? "unknown"
                                            : preloaded          ? "healthy"
                                                                 : "off"}}},
                               {"router", router_component(*config)}};
  const auto is_degraded = [&](const char* name) {
    const std::string status = json_read::text(components[name], "status");
    return status != "healthy";
  };
  const bool degraded = is_degraded("environment") || is_degraded("providers") ||
                        is_degraded("circuitBreakers") || is_degraded("rateLimiting");
  const char* status = !telemetry->is_alive ? "unhealthy" : degraded ? "degraded" : "healthy";
  const nlohmann::json body = {
      {"status", status}, {"uptime", uptime_s()}, {"components", std::move(components)}};
  response.status = telemetry->is_alive ? 200 : 503;
  response.set_content(dump_json(body), "application/json");
}

} // namespace

bool may_read_metrics(const Config& config, const httplib::Request& request) {
  if (!config.metrics_token.empty()) {
    const std::string given = request.get_header_value("Authorization");
    return is_same_secret(given, "Bearer " + config.metrics_token);
  }
  const bool through_proxy = request.has_header("X-Forwarded-For") ||
                             request.has_header("Forwarded") || request.has_header("X-Real-IP") ||
                             request.has_header("Via");
  return is_loopback(request.remote_addr) && !through_proxy;
}

std::vector<Route> telemetry_routes(Services& services, TelemetryCache& telemetry) {
  return {
      {"GET", "/metrics",
       [&](RequestContext&, const httplib::Request& request, const std::string&,
           httplib::Response& response) {
         answer_metrics(services, telemetry, request, response);
       }},
      {"GET", "/api/ai/telemetry",
       [&](RequestContext& context, const httplib::Request& request, const std::string&,
           httplib::Response& response) {
         answer_telemetry(services, telemetry, context, request, response);
       }},
      {"GET", "/api/ai/health/full",
       [&](RequestContext&, const httplib::Request&, const std::string&,
           httplib::Response& response) { answer_health(services, telemetry, response); }},
  };
}

} // namespace holdfast::gateway
