#include "gateway/handler_comparisons.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/database_comparisons.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_controls.hpp"
#include "gateway/request_json.hpp"
#include "gateway/workflow_request.hpp"

namespace holdfast::gateway {
namespace {

struct Shop {
  Services& services;
  RunDatabase& runs;
  RunNews& news;
  ComparisonDatabase comparisons;
};

void record_outcome(const Shop& shop, RequestContext& context, const httplib::Request& request,
                    const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string run_id = id_of(request);
  const nlohmann::json body = parse_request_object(text);
  RunOutcome outcome;
  outcome.outcome = optional_text(body, "outcome").value_or("");
  if (outcome.outcome.empty()) throw bad_member("The field outcome must be a text.", "outcome");
  const auto score = body.find("score");
  if (score != body.end() && !score->is_null()) {
    if (!score->is_number()) throw bad_member("The field score must be a number.", "score");
    outcome.score = dump_json(*score);
  }
  shop.comparisons.record_outcome(caller, run_id, outcome);
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add("runId", run_id)
                           .add("outcome", outcome.outcome)
                           .add_raw("score", outcome.score.value_or("null"))
                           .text(),
                       "application/json");
}

std::string variant_text(const VariantResult& result) {
  return ObjectText()
      .add("step", result.step)
      .add("variant", result.variant)
      .add_raw("runs", result.runs)
      .add_raw("completed", result.completed)
      .add_raw("failed", result.failed)
      .add_decimal("costUSD", result.cost_usd)
      .add_decimal("meanCostUSD", result.mean_cost_usd)
      .add_decimal("meanLatencyMs", result.mean_latency_ms)
      .add_raw("outcomes", result.outcomes)
      .add_raw("scored", result.scored)
      .add_decimal("meanScore", result.mean_score)
      .text();
}

void list_variants(const Shop& shop, RequestContext& context, const httplib::Request& request,
                   httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string workflow_id =
      checked_workflow_id(request.get_param_value("workflowId"), "workflowId");
  std::optional<std::string> step;
  if (request.has_param("stepId")) step = request.get_param_value("stepId");
  const auto results = shop.comparisons.variants(caller, workflow_id, step);
  std::string list;
  for (const VariantResult& result : results)
    list += (list.empty() ? "" : ",") + variant_text(result);
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add("total", results.size())
                           .add_raw("variants", "[" + list + "]")
                           .text(),
                       "application/json");
}

ReplayOrder read_replay(const RequestContext& context, const httplib::Request& request,
                        const nlohmann::json& body) {
  ReplayOrder order;
  order.token = checked_workflow_id(optional_text(body, "replayToken").value_or(""), "replayToken");
  order.mode = optional_text(body, "mode").value_or("stored");
  if (order.mode != "stored" && order.mode != "providers")
    throw bad_member("The field mode must be stored or providers.", "mode");
  order.idempotency_key = read_controls(request).idempotency_key;
  if (const auto key = optional_text(body, "idempotencyKey"))
    merge_control(order.idempotency_key, checked_idempotency_key(*key, "idempotencyKey"),
                  "idempotencyKey");
  if (!context.client_ip.empty()) order.client_ip = context.client_ip;
  order.route = context.route;
  return order;
}

void replay(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const nlohmann::json body = parse_request_object(text);
  const ReplayOrder order = read_replay(context, request, body);
  const auto most = wait_of(body);
  const StartedRun started =
      checking_definition([&] { return shop.comparisons.replay(caller, order); });
  accept_start(started, "runId", response);
  send_run(wait_for_run(shop.services, shop.runs, shop.news, caller, started.id, context, most),
           context, response);
}

} // namespace

std::vector<Route> comparison_routes(Services& services, RunDatabase& runs, RunNews& news) {
  const Shop shop{services, runs, news, ComparisonDatabase(services.database.pool())};
  return {post_route("/api/workflows/runs/{id}/outcome", shop, &record_outcome),
          get_route("/api/workflows/variants", shop, &list_variants),
          post_route("/api/workflows/replay", shop, &replay)};
}

} // namespace holdfast::gateway
