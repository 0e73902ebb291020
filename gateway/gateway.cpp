#include "gateway/gateway.hpp"

#include "gateway/database.hpp"
#include "gateway/governed_call.hpp"
#include "gateway/handler_approvals.hpp"
#include "gateway/handler_batches.hpp"
#include "gateway/handler_chat.hpp"
#include "gateway/handler_comparisons.hpp"
#include "gateway/handler_embeddings.hpp"
#include "gateway/handler_generate.hpp"
#include "gateway/handler_intent.hpp"
#include "gateway/handler_messages.hpp"
#include "gateway/handler_status.hpp"
#include "gateway/handler_telemetry.hpp"
#include "gateway/handler_workflows.hpp"
#include "gateway/log.hpp"
#include "gateway/metrics.hpp"
#include "gateway/provider_checks.hpp"
#include "gateway/requirements.hpp"
#include "gateway/run_worker.hpp"
#include "gateway/server.hpp"
#include "gateway/token_desk.hpp"

#include <algorithm>
#include <cstdio>
#include <future>
#include <sys/resource.h>

namespace holdfast::gateway {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Of the drain time, what is kept for settling the calls that had to be cut.
constexpr milliseconds kSettleReserve{5000};

// For so long what a provider was found to be is told to all who ask for its health.
constexpr milliseconds kChecksFresh{60'000};

// Each connection, provider and database socket takes a descriptor; the usual soft limit is low.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log_event(LogLevel::warning, "descriptor_limit", "the limit of open files could not be raised");
  }
}

// Every route takes signed tokens as it takes keys.
std::vector<Route> all_routes(Services& services, IntentDatabase& workflows, RunDatabase& runs,
                              BatchDatabase& batches, RunNews& news, TokenDesk& desk,
                              TelemetryCache& telemetry, ProviderChecks& checks) {
  std::vector<Route> routes = chat_routes(services);
  for (auto&& more :
       {embedding_routes(services), approval_routes(services), messages_routes(services),
        generate_routes(services), status_routes(services, checks),
        telemetry_routes(services, telemetry), workflow_routes(services, runs, news),
        intent_routes(services, workflows, runs, news), batch_routes(services, batches, news),
        comparison_routes(services, runs, news)}) {
    routes.insert(routes.end(), more.begin(), more.end());
  }
  for (Route& route : routes)
    route.handler = [handler = std::move(route.handler),
                     &desk](RequestContext& context, const httplib::Request& request,
                            const std::string& body, httplib::Response& response) {
      desk.admit(request);
      handler(context, request, body, response);
    };
  return routes;
}

void announce(const Config& config, int port) {
  const bool ipv6 = config.listen_host.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + config.listen_host + "]" : config.listen_host;
  std::printf("holdfast-gateway listening on %s://%s:%d\n", config.tls ? "https" : "http",
              host.c_str(), port);
  std::fflush(stdout);
}

// Puts the settings that were read again in force; returns what only a restart changes. Throws
// std::runtime_error with the reason when a part of them is wrong: then nothing has changed.
std::string reload(LiveConfig& live, const ConfigReader& reread, DatabasePool& pool) {
  auto read = reread();
  if (const auto* exit = std::get_if<ConfigExit>(&read)) throw std::runtime_error(exit->text);
  Config& next = std::get<Config>(read);
  require_in_database(next, pool);
  std::string kept;
  for (const std::string& flag : keep_start_settings(*live.now(), next))
    kept += (kept.empty() ? "" : ", ") + flag;
  set_log_level(next.log_level);
  set_log_redaction(next.redact);
  live.replace(std::move(next));
  return kept;
}

void reload_and_tell(LiveConfig& live, const ConfigReader& reread, DatabasePool& pool) {
  try {
    const std::string kept = reload(live, reread, pool);
    log_event(LogLevel::info, "reloaded",
              kept.empty() ? "all settings are in force"
                           : "in force, but for what a restart changes: " + kept);
  } catch (const std::exception& error) {
    log_event(LogLevel::error, "reload_refused", error.what());
  }
}

bool extend(Database& database, const Config& config, const std::string& organization_id,
            const std::string& hold_id) {
  try {
    database.extend_hold(organization_id, hold_id, config.hold_ttl_ms);
    return true;
  } catch (const std::exception& error) {
    LogRecord(LogLevel::warning, "extend_hold_failed")
        .add("holdId", hold_id)
        .message(error.what())
        .write();
    return false;
  }
}

// Lets running calls finish; cuts those that take too long; settles all of them by the deadline.
std::size_t drain(const Config& config, Services& services, Server& server, RunWorker& worker,
                  std::future<bool>& serving) {
  const auto begun = Clock::now();
  const milliseconds whole(config.drain_timeout_ms);
  const auto deadline = begun + whole;
  log_event(LogLevel::info, "stopping", "no new connections are accepted");
  server.stop();
  services.stopping = true;
  worker.stop();
  const auto cut = deadline - std::min(kSettleReserve, whole / 3);
  const bool served = serving.wait_until(cut) == std::future_status::ready;
  if (!worker.wait_idle_until(cut) || !served) {
    log_event(LogLevel::info, "stopping", "calls that are still running are cut");
    services.cut = true;
  }
  services.database.give_up_at(deadline);
  serving.wait();
  services.spool.stop();
  return services.settlements.drain(deadline, [&services](const std::vector<Resolution>& left) {
    return services.spool.write(left);
  });
}

// A place for each request and step that can be at work.
SettlementBounds settlement_bounds(const Config& config) {
  SettlementBounds bounds;
  bounds.max_calls =
      std::max(bounds.max_calls, static_cast<std::size_t>(config.threads + config.run_steps));
  return bounds;
}

} // namespace

int run_gateway(const Config& config, const ConfigReader& reread, const ProcessSignals& signals) {
  set_log_level(config.log_level);
  set_log_redaction(config.redact);
  metrics(); // counts from here on
  raise_descriptor_limit();
  LiveConfig live(config);
  Database database(config.database, config.database_pool_size);
  database.check();
  RunDatabase runs(database.pool());
  BatchDatabase batches(database.pool());
  TokenDatabase tokens(database.pool());
  require_in_database(config, database.pool());
  TokenDesk desk(live, tokens);
  TelemetryCache telemetry(database.pool());
  IntentDatabase workflows(database.pool());
  workflows.check();
  RunNews news;
  Transport transport;
  SettlementQueue settlements(
      [&](const Resolution& resolution) { return try_resolution(database, resolution); },
      settlement_bounds(config));
  SettlementSpool spool(config.spool, [&](const Resolution& resolution) {
    const ResolutionResult result = try_resolution(database, resolution);
    if (result == ResolutionResult::refused) settlements.record_refused(resolution);
    return result;
  });
  HoldKeeper holds(
      [&](const std::string& organization_id, const std::string& hold_id) {
        return extend(database, config, organization_id, hold_id);
      },
      milliseconds(config.hold_ttl_ms));
  ResponseCache cache(database, {static_cast<std::size_t>(config.cache_answers),
                                 static_cast<std::size_t>(config.cache_bytes)});
  Services services{live, database, transport, settlements, spool, holds, cache};
  ProviderChecks checks(transport, live, kChecksFresh);
  Server server(
      {static_cast<std::size_t>(config.threads), config.max_body_bytes, config.trusted_proxies},
      all_routes(services, workflows, runs, batches, news, desk, telemetry, checks),
      config.tls ? TlsSource([&live] { return live.now()->tls; }) : nullptr);
  RunWorker worker(services, runs, news);
  const int port = server.bind(config.listen_host, config.listen_port);
  std::future<bool> serving = std::async(std::launch::async, [&] {
    const bool ended_well = server.serve();
    signals.wake_to_stop();
    return ended_well;
  });
  announce(config, port);
  while (signals.wait() == ProcessSignals::Wish::reload)
    reload_and_tell(live, reread, database.pool());
  const std::size_t lost = drain(*live.now(), services, server, worker, serving);
  if (lost > 0)
    log_event(LogLevel::error, "stopped",
              "settlements that are not in the ledger: " + std::to_string(lost));
  return serving.get() && lost == 0 ? 0 : 1;
}

} // namespace holdfast::gateway
