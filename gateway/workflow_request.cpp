#include "gateway/workflow_request.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_controls.hpp"
#include "gateway/request_json.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

void read_workflow(const nlohmann::json& body, RunOrder& order) {
  const auto id = optional_text(body, "workflowId");
  if (id) order.workflow_id = checked_workflow_id(*id, "workflowId");
  const auto workflow = body.find("workflow");
  const bool given = workflow != body.end() && !workflow->is_null();
  if (given == id.has_value())
    throw bad_member("Exactly one of workflow and workflowId must be given.", "workflow");
  if (!given) return;
  if (workflow->is_object())
    order.definition = dump_json(*workflow);
  else if (workflow->is_string() && !workflow->get<std::string>().empty())
    order.name = workflow->get<std::string>();
  else
    throw bad_member("The field workflow must be a definition, or the name of a saved one.",
                     "workflow");
}

} // namespace

std::string id_of(const httplib::Request& request) {
  const std::string id = request.matches[1];
  return checked_workflow_id(id, "id");
}

int whole_parameter(const httplib::Request& request, const char* name, int least, int most,
                    int otherwise) {
  if (!request.has_param(name)) return otherwise;
  const std::string text = request.get_param_value(name);
  const bool digits =
      !text.empty() && text.size() <= 5 &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  const int number = digits ? std::stoi(text) : least - 1;
  if (number >= least && number <= most) return number;
  throw bad_member(std::string("The parameter ") + name + " must be a number from " +
                       std::to_string(least) + " to " + std::to_string(most) + ".",
                   name);
}

HttpError bad_member(const std::string& what, const std::string& field) {
  return {400, "bad_value", what, field};
}

RunOrder read_run_order(const RequestContext& context, const httplib::Request& request,
                        const nlohmann::json& body) {
  const Controls controls = read_controls(request);
  RunOrder order;
  read_workflow(body, order);
  order.user_id = controls.user_id;
  order.idempotency_key = controls.idempotency_key;
  if (!context.client_ip.empty()) order.client_ip = context.client_ip;
  order.route = context.route;
  if (const auto key = optional_text(body, "idempotencyKey"))
    merge_control(order.idempotency_key, checked_idempotency_key(*key, "idempotencyKey"),
                  "idempotencyKey");
  if (const auto user = optional_text(body, "userId")) {
    const std::string id = checked_user_id(*user, "userId");
    if (!order.user_id) order.user_id = id;
  }
  return order;
}

void accept_start(const StartedRun& started, const char* id_member, httplib::Response& response) {
  if (started.limited) {
    OpenedCall figures;
    figures.rate = started.rate;
    figures.retry_after_ms = started.retry_after_ms;
    throw error_from_rate_limit(figures);
  }
  if (!started.granted) throw denied_run(started, id_member);
  if (started.rate) {
    for (const auto& [name, value] : rate_headers(*started.rate))
      response.set_header(name, value);
  }
  if (started.duplicate) response.set_header("Idempotent-Replay", "true");
}

std::string run_text(const RunView& run) {
  ObjectText text;
  text.add("runId", run.run_id)
      .add("workflowId", run.workflow_id ? nlohmann::json(*run.workflow_id) : nlohmann::json())
      .add("name", run.name)
      .add("version", run.version)
      .add("userId", run.user_id ? nlohmann::json(*run.user_id) : nlohmann::json())
      .add("status", run.status)
      .add_raw("steps", run.steps)
      .add_raw("runError", run.error.value_or("null"))
      .add_decimal("totalCostUSD", run.total_cost_usd)
      .add_raw("totalLatencyMs", run.total_latency_ms)
      .add("createdAt", run.created_at)
      .add("endedAt", run.ended_at ? nlohmann::json(*run.ended_at) : nlohmann::json())
      .add("replayToken", run.replay_token)
      .add("replayOf", run.replay_of ? nlohmann::json(*run.replay_of) : nlohmann::json());
  return text.text();
}

void send_run(const RunView& run, const RequestContext& context, httplib::Response& response) {
  const bool failed = run.status == "failed" || run.status == "cancelled";
  std::string body = with_member(run_text(run), "success", failed ? "false" : "true");
  body = with_member(body, "requestId", nlohmann::json(context.request_id).dump());
  response.status = run.has_ended() ? 200 : 202;
  response.set_header("X-Holdfast-Cost", run.total_cost_usd.value_or("0"));
  response.set_content(body, "application/json");
}

void throw_definition_fault(const DatabaseError& error) {
  HttpError told = error_from_database(error);
  told.code = "invalid_definition";
  told.param.clear();
  throw HttpError(told);
}

} // namespace holdfast::gateway
