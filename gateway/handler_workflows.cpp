#include "gateway/handler_workflows.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/ids.hpp"
#include "gateway/json_text.hpp"
#include "gateway/live_events.hpp"
#include "gateway/request_json.hpp"
#include "gateway/workflow_request.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

constexpr int kMostListed = 1000;
constexpr int kStandardListed = 50;

struct Shop {
  Services& services;
  RunDatabase& runs;
  RunNews& news;
};

void create(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& body, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const nlohmann::json definition = parse_request_object(body);
  const SavedDefinition saved =
      checking_definition([&] { return shop.runs.save_definition(caller, dump_json(definition)); });
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add("workflowId", saved.workflow_id)
                           .add("name", saved.name)
                           .add("version", saved.version)
                           .add("duplicate", saved.duplicate)
                           .text(),
                       "application/json");
}

void list_definitions(const Shop& shop, RequestContext& context, const httplib::Request& request,
                      httplib::Response& response) {
  const auto definitions = shop.runs.list_definitions(caller_of(context, request));
  std::string list;
  for (const SavedDefinition& saved : definitions) {
    list += (list.empty() ? "" : ",") + ObjectText()
                                            .add("workflowId", saved.workflow_id)
                                            .add("name", saved.name)
                                            .add("version", saved.version)
                                            .add("createdAt", saved.created_at)
                                            .add_raw("definition", saved.json)
                                            .text();
  }
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add("total", definitions.size())
                           .add_raw("workflows", "[" + list + "]")
                           .text(),
                       "application/json");
}

RunOrder read_order(const RequestContext& context, const httplib::Request& request,
                    const nlohmann::json& body) {
  RunOrder order = read_run_order(context, request, body);
  order.split_key = optional_text(body, "splitKey");
  const auto input = body.find("input");
  if (input == body.end() || input->is_null()) return order;
  if (!input->is_object()) throw bad_member("The field input must be an object.", "input");
  order.input = dump_json(*input);
  return order;
}

void run(const Shop& shop, RequestContext& context, const httplib::Request& request,
         const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const nlohmann::json body = parse_request_object(text);
  const RunOrder order = read_order(context, request, body);
  const auto most = wait_of(body);
  const StartedRun started = checking_definition([&] { return shop.runs.start(caller, order); });
  accept_start(started, "runId", response);
  send_run(wait_for_run(shop.services, shop.runs, shop.news, caller, started.id, context, most),
           context, response);
}

void list_runs(const Shop& shop, RequestContext& context, const httplib::Request& request,
               httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  std::optional<std::string> workflow_id;
  std::optional<std::string> user_id;
  if (request.has_param("workflowId"))
    workflow_id = checked_workflow_id(request.get_param_value("workflowId"), "workflowId");
  if (request.has_param("userId"))
    user_id = checked_user_id(request.get_param_value("userId"), "userId");
  const int limit = whole_parameter(request, "limit", 1, kMostListed, kStandardListed);
  const auto runs = shop.runs.list(caller, workflow_id, user_id, limit);
  std::string list;
  for (const RunView& view : runs)
    list += (list.empty() ? "" : ",") + run_text(view);
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add("total", runs.size())
                           .add_raw("runs", "[" + list + "]")
                           .text(),
                       "application/json");
}

void get_run(const Shop& shop, RequestContext& context, const httplib::Request& request,
             httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  send_run(shop.runs.get(caller, id_of(request)), context, response);
  response.status = 200;
}

void cancel(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string run_id = id_of(request);
  const nlohmann::json body = parse_request_object(text);
  shop.runs.cancel(caller, run_id, optional_text(body, "reason"));
  const std::string run = run_text(shop.runs.get(caller, run_id));
  response.set_content(with_member(with_member(run, "success", "true"), "requestId",
                                   nlohmann::json(context.request_id).dump()),
                       "application/json");
}

void approve(const Shop& shop, RequestContext& context, const httplib::Request& request,
             const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string run_id = id_of(request);
  const nlohmann::json body = parse_request_object(text);
  const auto step = optional_text(body, "stepId");
  if (!step || step->empty()) throw bad_member("The field stepId must name a step.", "stepId");
  shop.runs.approve(caller, run_id, *step, optional_flag(body, "approved", true),
                    optional_text(body, "reason"));
  send_run(shop.runs.get(caller, run_id), context, response);
}

// The number of the last event that the client has: a reconnecting EventSource sends it.
std::string last_event_of(const httplib::Request& request) {
  std::string number = request.get_header_value("Last-Event-ID");
  if (number.empty()) number = request.get_param_value("lastEventId");
  if (number.empty()) return "0";
  const bool digits =
      number.size() <= 18 && std::all_of(number.begin(), number.end(),
                                         [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits) throw bad_member("Last-Event-ID must be the number of an event.", "Last-Event-ID");
  return number;
}

std::string event_text(const std::string& run_id, const RunEvent& event) {
  const std::string data =
      ObjectText()
          .add("runId", run_id)
          .add("event", event.event)
          .add("at", event.at)
          .add("step", event.step_id ? nlohmann::json(*event.step_id) : nlohmann::json())
          .add_raw("detail", event.detail)
          .text();
  return "id: " + event.number + "\nevent: " + event.event + "\ndata: " + data + "\n\n";
}

// One run's events, from the one after the last that the client has to its end.
void stream_events(const Shop& shop, RequestContext& context, const httplib::Request& request,
                   httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string run_id = id_of(request);
  std::string first = last_event_of(request);
  shop.runs.get(caller, run_id); // 404 before there is a stream
  const auto tell = [shop, caller, run_id,
                     last = std::move(first)](const EventWriter& write) mutable {
    const bool had_ended = shop.runs.get(caller, run_id).has_ended();
    for (const RunEvent& event : shop.runs.events(caller, run_id, last)) {
      if (!write(event_text(run_id, event))) return Told::nobody;
      last = event.number;
    }
    return had_ended ? Told::all : Told::more_to_come;
  };
  send_live_events(shop.services, shop.news, context, {run_id, tell}, response);
}

} // namespace

std::vector<Route> workflow_routes(Services& services, RunDatabase& runs, RunNews& news) {
  const Shop shop{services, runs, news};
  return {post_route("/api/workflows/run", shop, &run),
          post_route("/api/workflows/create", shop, &create),
          get_route("/api/workflows/list", shop, &list_definitions),
          get_route("/api/workflows/runs", shop, &list_runs),
          get_route("/api/workflows/runs/{id}", shop, &get_run),
          get_route("/api/workflows/runs/{id}/events", shop, &stream_events),
          post_route("/api/workflows/runs/{id}/cancel", shop, &cancel),
          post_route("/api/workflows/runs/{id}/approve", shop, &approve)};
}

} // namespace holdfast::gateway
