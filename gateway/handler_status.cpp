#include "gateway/handler_status.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_text.hpp"
#include "gateway/provider_checks.hpp"
#include "gateway/providers/registry.hpp"

#include <algorithm>
#include <chrono>

namespace holdfast::gateway {
namespace {

bool is_active(const Config& config, const std::string& name) {
  return std::any_of(config.providers.begin(), config.providers.end(),
                     [&](const ProviderConfig& provider) { return provider.name == name; });
}

std::int64_t ms_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               then)
      .count();
}

// An active provider is `configured` until it has been asked; the sandbox need not be.
nlohmann::json health_of(const provider::ProviderInfo& info, bool is_configured,
                         const std::map<std::string, ProviderCheck>& checks) {
  nlohmann::json told = {{"status", is_configured ? "configured" : "not_configured"},
                         {"latencyMs", nullptr},
                         {"ageMs", nullptr}};
  const auto check = checks.find(info.name);
  if (is_configured && info.adapter == nullptr) told["status"] = "healthy";
  if (!is_configured || check == checks.end()) return told;
  told["status"] = check->second.status;
  told["latencyMs"] = check->second.latency_ms;
  told["ageMs"] = ms_since(check->second.at);
  return told;
}

// No key is needed and nothing is charged: whether this gateway can work now.
void health(Services& services, ProviderChecks& checks, httplib::Response& response) {
  const auto begun = std::chrono::steady_clock::now();
  const auto config = services.config.now();
  const bool alive = services.database.is_alive();
  const auto latency_ms = ms_since(begun);
  const auto known = checks.known();
  nlohmann::json providers = nlohmann::json::object();
  nlohmann::json active = nlohmann::json::array();
  for (const auto& info : provider::all_providers()) {
    const bool configured = is_active(*config, info.name);
    providers[info.name] = health_of(info, configured, known);
    if (configured) active.push_back(info.name);
  }
  const nlohmann::json body = {
      {"overall", alive ? "healthy" : "unhealthy"},
      {"database", {{"status", alive ? "healthy" : "unreachable"}, {"latencyMs", latency_ms}}},
      {"providers", std::move(providers)},
      {"routing",
       {{"activeProviders", active.size()},
        {"routingStrategy", "cheapest"},
        {"providers", active}}}};
  response.status = alive ? 200 : 503;
  response.set_content(dump_json(body), "application/json");
}

std::string provider_text(const Config& config, const provider::ProviderInfo& info,
                          const std::vector<PricedModel>& models) {
  ObjectText text;
  text.add("name", info.name)
      .add("displayName", info.display_name)
      .add("isConfigured", is_active(config, info.name))
      .add("defaultModel", info.default_model)
      .add("capabilities", info.capabilities);
  const auto priced = std::find_if(models.begin(), models.end(), [&](const PricedModel& model) {
    return model.provider == info.name && model.model == info.default_model;
  });
  const bool known = priced != models.end();
  const std::string cost =
      ObjectText()
          .add_decimal("inputPerMToken", known ? std::optional(priced->input_cost) : std::nullopt)
          .add_decimal("outputPerMToken", known ? std::optional(priced->output_cost) : std::nullopt)
          .text();
  return text.add_raw("estimatedCost", cost).text();
}

void list_providers(Services& services, RequestContext& context, const httplib::Request& request,
                    httplib::Response& response) {
  const ApiKey key = read_key(request);
  context.organization_id = key.organization_id;
  services.database.authenticate_key(key.organization_id, key.hash);
  std::vector<std::string> names;
  for (const auto& info : provider::all_providers())
    names.push_back(info.name);
  const auto models = services.database.list_models(names);
  const auto config = services.config.now();
  std::string list;
  for (const auto& info : provider::all_providers()) {
    list += (list.empty() ? "" : ",") + provider_text(*config, info, models);
  }
  response.set_content(ObjectText()
                           .add("total", names.size())
                           .add("active", config->providers.size())
                           .add_raw("providers", "[" + list + "]")
                           .text(),
                       "application/json");
}

} // namespace

std::vector<Route> status_routes(Services& services, ProviderChecks& checks) {
  return {
      {"GET", "/api/ai/health",
       [&](RequestContext&, const httplib::Request&, const std::string&,
           httplib::Response& response) { health(services, checks, response); }},
      {"GET", "/api/ai/providers",
       [&services](RequestContext& context, const httplib::Request& request, const std::string&,
                   httplib::Response& response) {
         list_providers(services, context, request, response);
       }},
  };
}

} // namespace holdfast::gateway
