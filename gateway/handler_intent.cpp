#include "gateway/handler_intent.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_json.hpp"
#include "gateway/run_requests.hpp"

#include <array>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostKeywords = 200;
constexpr std::size_t kMostInstructions = 4000;

struct Shop {
  Services& services;
  IntentDatabase& workflows;
  RunDatabase& runs;
  RunNews& news;
};

HttpError bad_value(const std::string& what, const std::string& field) {
  return {400, "bad_value", what, field};
}

// A step needs nothing but its path.
nlohmann::json body_of(const std::string& text) {
  return text.empty() ? nlohmann::json::object() : parse_request_object(text);
}

std::string workflow_id_of(const httplib::Request& request) {
  return checked_workflow_id(request.matches[1], "id");
}

// A workflow that is elsewhere than the caller thought is told with its three states.
template <class Work>
auto checking_state(Work work) {
  try {
    return work();
  } catch (const DatabaseError& error) {
    const bool states = error.detail.find("\"currentState\"") != std::string::npos;
    if (error.sqlstate != "PT422" && !(error.sqlstate == "PT409" && states)) throw;
    HttpError told = error_from_database(error);
    told.code = states ? "wrong_state" : "unprocessable"; // no model is unpriced here
    told.param.clear();
    throw HttpError(told);
  }
}

std::optional<std::string> user_of(const Controls& controls, const nlohmann::json& body) {
  if (controls.user_id) return controls.user_id;
  if (const auto user = optional_text(body, "userId")) return checked_user_id(*user, "userId");
  return std::nullopt;
}

std::optional<std::string> key_of(const Controls& controls, const nlohmann::json& body) {
  std::optional<std::string> key = controls.idempotency_key;
  if (const auto given = optional_text(body, "idempotencyKey"))
    merge_control(key, checked_idempotency_key(*given, "idempotencyKey"), "idempotencyKey");
  return key;
}

ObjectText overview(const IntentWorkflow& workflow, const RequestContext& context) {
  ObjectText text;
  text.add("success", true)
      .add("requestId", context.request_id)
      .add("workflowId", workflow.workflow_id)
      .add("state", workflow.state)
      .add_raw("step", workflow.step.value_or("null"))
      .add("status", workflow.status)
      .add_raw("openSteps", workflow.open_steps)
      .add_raw("nextStates", workflow.next_states)
      .add_raw("running", workflow.running.value_or("null"))
      .add_raw("failure", workflow.failure.value_or("null"))
      .add_decimal("totalCostUSD", workflow.total_cost_usd)
      .add_decimal("heldUSD", workflow.held_usd)
      .add_decimal("costLimitUSD", workflow.limit_usd)
      .add("createdAt", workflow.created_at)
      .add("updatedAt", workflow.updated_at);
  return text;
}

void send_workflow(const Shop& shop, const Caller& caller, const std::string& workflow_id,
                   const RequestContext& context, httplib::Response& response) {
  const IntentWorkflow workflow = shop.workflows.get(caller, workflow_id);
  response.set_content(overview(workflow, context)
                           .add_raw("history", workflow.history)
                           .add_raw("data", workflow.data)
                           .text(),
                       "application/json");
}

// The limit as it was written: money passes through no float.
std::optional<std::string> cost_limit_of(const std::string& text) {
  const auto members = object_members(text);
  if (!members) return std::nullopt;
  for (const auto& [name, value] : *members) {
    if (name != "costLimitUSD" || value == "null") continue;
    if (is_json_number(value)) return value;
    throw bad_value("The field costLimitUSD must be a number.", "costLimitUSD");
  }
  return std::nullopt;
}

void create(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const nlohmann::json body = parse_request_object(text);
  const auto input = body.find("input");
  if (input == body.end() || !input->is_object())
    throw bad_value("The field input must be an object that says what the business is.", "input");
  const auto [workflow_id, duplicate] = shop.workflows.create(
      caller, dump_json(*input), cost_limit_of(text), key_of(read_controls(request), body));
  if (duplicate) response.set_header("Idempotent-Replay", "true");
  send_workflow(shop, caller, workflow_id, context, response);
}

void get_workflow(const Shop& shop, RequestContext& context, const httplib::Request& request,
                  const std::string&, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  send_workflow(shop, caller, workflow_id_of(request), context, response);
}

void add_text(nlohmann::json& asked, const nlohmann::json& body, const char* name,
              std::size_t most) {
  const auto text = optional_text(body, name);
  if (!text) return;
  if (text->empty() || text->size() > most)
    throw bad_value(std::string("The field ") + name + " must have 1 to " + std::to_string(most) +
                        " bytes.",
                    name);
  asked[name] = *text;
}

// What a step is asked for with; nothing when the body says none of it.
std::optional<std::string> request_of(const Config& config, const nlohmann::json& body) {
  nlohmann::json asked = nlohmann::json::object();
  add_text(asked, body, "provider", 64);
  add_text(asked, body, "model", 255);
  add_text(asked, body, "instructions", kMostInstructions);
  add_text(asked, body, "cluster", 200);
  if (const auto most = optional_integer(body, "maxTokens", 1, config.max_completion_tokens))
    asked["maxTokens"] = *most;
  if (const auto degree = optional_number(body, "temperature", 0, 2))
    asked["temperature"] = *degree;
  if (optional_flag(body, "disableFallback", false)) asked["disableFallback"] = true;
  return asked.empty() ? std::nullopt : std::optional(dump_json(asked));
}

struct Fault {
  int status;
  const char* code;
};

// The HTTP status of what a step has failed with.
Fault fault_of(const std::string& code) {
  static constexpr std::array<std::pair<const char*, Fault>, 16> kFaults = {{
      {"budget_exceeded", {402, "budget_exceeded"}},
      {"auth", {502, "provider_auth"}},
      {"invalid_request", {400, "provider_invalid_request"}},
      {"context_length", {400, "context_length_exceeded"}},
      {"content_filter", {400, "content_filter"}},
      {"rate_limit", {429, "provider_rate_limit"}},
      {"quota_exhausted", {429, "provider_quota_exhausted"}},
      {"overloaded", {503, "provider_overloaded"}},
      {"timeout", {504, "provider_timeout"}},
      {"network", {502, "provider_network"}},
      {"schema_mismatch", {502, "schema_mismatch"}},
      {"cannot_be_called", {422, "unprocessable"}},
      {"unsupported_feature", {422, "unsupported_feature"}},
      {"too_long", {413, "prompt_too_large"}},
      {"cancelled", {409, "step_cancelled"}},
      {"webhook_timeout", {504, "webhook_timeout"}},
  }};
  for (const auto& [known, fault] : kFaults) {
    if (code == known) return fault;
  }
  if (code.rfind("webhook_", 0) == 0) return {502, "webhook_failed"};
  return {502, "provider_error"};
}

HttpError failed_step(const std::string& workflow_id, const std::string& step,
                      const std::string& state, const RunView& run) {
  const auto error = nlohmann::json::parse(run.error.value_or("{}"), nullptr, false);
  const auto text = [&](const char* name) {
    return error.is_object() ? error.value(name, std::string()) : std::string();
  };
  const Fault fault = fault_of(text("code"));
  HttpError told(fault.status, fault.code, "Step " + step + " has failed: " + text("message"));
  told.details = {{"workflowId", nlohmann::json(workflow_id).dump()},
                  {"step", nlohmann::json(step).dump()},
                  {"state", nlohmann::json(state).dump()},
                  {"runId", nlohmann::json(run.run_id).dump()},
                  {"runError", run.error.value_or("null")},
                  {"costUSD", decimal_json(run.total_cost_usd)}};
  told.headers.emplace_back("X-Holdfast-Cost", run.total_cost_usd.value_or("0"));
  return told;
}

// Where the step's own result stands in the workflow's document.
std::string result_of(const IntentWorkflow& workflow, const std::string& step) {
  const auto members = object_members(workflow.data);
  if (!members) return "null";
  for (const auto& [name, value] : *members) {
    if (name == step) return value;
  }
  return "null";
}

void send_step(const Shop& shop, const Caller& caller, const IntentOrder& order,
               const IntentStarted& started, const RunView& run, const RequestContext& context,
               httplib::Response& response) {
  const IntentWorkflow workflow = shop.workflows.get(caller, order.workflow_id);
  if (run.has_ended() && run.status != "completed")
    throw failed_step(order.workflow_id, started.step, workflow.state, run);
  ObjectText text;
  text.add("success", true)
      .add("requestId", context.request_id)
      .add("workflowId", workflow.workflow_id)
      .add("step", started.step)
      .add("state", workflow.state)
      .add("status", run.status)
      .add("runId", run.run_id)
      .add_raw("result", run.has_ended() ? result_of(workflow, started.step) : "null")
      .add_raw("steps", run.steps)
      .add_decimal("costUSD", run.total_cost_usd)
      .add_decimal("totalCostUSD", workflow.total_cost_usd)
      .add_raw("latencyMs", run.total_latency_ms);
  response.status = run.has_ended() ? 200 : 202;
  response.set_header("X-Holdfast-Cost", run.total_cost_usd.value_or("0"));
  response.set_content(text.text(), "application/json");
}

void do_step(const Shop& shop, RequestContext& context, const httplib::Request& request,
             const std::string& text, const std::optional<std::string>& step,
             httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const Controls controls = read_controls(request);
  const nlohmann::json body = body_of(text);
  IntentOrder order;
  order.workflow_id = workflow_id_of(request);
  order.step = step;
  order.retry = !step;
  order.request = request_of(*shop.services.config.now(), body);
  order.user_id = user_of(controls, body);
  order.idempotency_key = key_of(controls, body);
  order.correlation_id = context.correlation_id;
  const auto most = wait_of(body);
  const IntentStarted started = checking_state([&] { return shop.workflows.start(caller, order); });
  if (!started.run.granted) {
    HttpError refused = denied_run(started.run, "runId");
    refused.details.emplace_back("workflowId", nlohmann::json(order.workflow_id).dump());
    refused.details.emplace_back("step", nlohmann::json(started.step).dump());
    throw HttpError(refused);
  }
  if (started.run.duplicate) response.set_header("Idempotent-Replay", "true");
  const RunView run =
      wait_for_run(shop.services, shop.runs, shop.news, caller, started.run.id, context, most);
  send_step(shop, caller, order, started, run, context, response);
}

void begin_step(const Shop& shop, RequestContext& context, const httplib::Request& request,
                const std::string& text, httplib::Response& response) {
  do_step(shop, context, request, text, request.matches[2].str(), response);
}

void retry_step(const Shop& shop, RequestContext& context, const httplib::Request& request,
                const std::string& text, httplib::Response& response) {
  do_step(shop, context, request, text, std::nullopt, response);
}

std::vector<std::string> keywords_of(const nlohmann::json& body) {
  const auto list = body.find("keywords");
  const std::string wanted = "The field keywords must list 1 to 200 texts.";
  if (list == body.end() || !list->is_array() || list->empty() || list->size() > kMostKeywords)
    throw bad_value(wanted, "keywords");
  std::vector<std::string> keywords;
  for (const nlohmann::json& item : *list) {
    if (!item.is_string()) throw bad_value(wanted, "keywords");
    keywords.push_back(item.get<std::string>());
  }
  return keywords;
}

void review(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string workflow_id = workflow_id_of(request);
  const nlohmann::json body = parse_request_object(text);
  const auto keywords = keywords_of(body);
  const auto user = user_of(read_controls(request), body);
  checking_state([&] {
    shop.workflows.review(caller, workflow_id, keywords, optional_text(body, "note"), user,
                          context.correlation_id);
  });
  send_workflow(shop, caller, workflow_id, context, response);
}

void cancel(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string workflow_id = workflow_id_of(request);
  const nlohmann::json body = body_of(text);
  const auto user = user_of(read_controls(request), body);
  checking_state([&] {
    shop.workflows.cancel(caller, workflow_id, optional_text(body, "reason"), user,
                          context.correlation_id);
  });
  send_workflow(shop, caller, workflow_id, context, response);
}

} // namespace

std::vector<Route> intent_routes(Services& services, IntentDatabase& workflows, RunDatabase& runs,
                                 RunNews& news) {
  const Shop shop{services, workflows, runs, news};
  using Handler = void (*)(const Shop&, RequestContext&, const httplib::Request&,
                           const std::string&, httplib::Response&);
  const auto route = [shop](const char* method, const char* path, Handler handler) {
    return Route{method, path,
                 [shop, handler](RequestContext& context, const httplib::Request& request,
                                 const std::string& body, httplib::Response& response) {
                   handler(shop, context, request, body, response);
                 }};
  };
  return {route("POST", "/api/intent/workflows", create),
          route("GET", "/api/intent/workflows/{id}", get_workflow),
          route("POST", "/api/intent/workflows/{id}/steps/{step}", begin_step),
          route("POST", "/api/intent/workflows/{id}/review", review),
          route("POST", "/api/intent/workflows/{id}/retry", retry_step),
          route("POST", "/api/intent/workflows/{id}/cancel", cancel)};
}

} // namespace holdfast::gateway
