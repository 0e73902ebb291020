#include "gateway/handler_batches.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_text.hpp"
#include "gateway/live_events.hpp"
#include "gateway/request_json.hpp"
#include "gateway/workflow_request.hpp"

namespace holdfast::gateway {
namespace {

// All runs are counted for it, so it is not asked for at the end of each.
constexpr std::chrono::milliseconds kProgressEvery{200};
constexpr int kMostListed = 1000;
constexpr int kStandardListed = 50;
constexpr int kStandardResults = 100;
constexpr int kMostInputs = 10000;
constexpr int kMostActive = 100;
constexpr int kStandardActive = 10;

struct Shop {
  Services& services;
  BatchDatabase& batches;
  RunNews& news;
};

nlohmann::json or_null(const std::optional<std::string>& text) {
  return text ? nlohmann::json(*text) : nlohmann::json();
}

std::string batch_text(const BatchView& batch) {
  ObjectText text;
  text.add("batchId", batch.batch_id)
      .add("workflowId", or_null(batch.workflow_id))
      .add("name", batch.name)
      .add("version", batch.version)
      .add("userId", or_null(batch.user_id))
      .add("status", batch.status)
      .add_raw("inputs", batch.inputs)
      .add_raw("pending", batch.pending)
      .add_raw("running", batch.running)
      .add_raw("completed", batch.completed)
      .add_raw("failed", batch.failed)
      .add_raw("cancelled", batch.cancelled)
      .add_decimal("totalCostUSD", batch.total_cost_usd)
      .add_decimal("heldUSD", batch.held_usd)
      .add_decimal("remainingUSD", batch.remaining_usd)
      .add_decimal("maxCostUSD", batch.max_cost_usd)
      .add_raw("maxActive", batch.most_active)
      .add_raw("batchError", batch.error.value_or("null"))
      .add("createdAt", batch.created_at)
      .add("endedAt", or_null(batch.ended_at));
  return text.text();
}

void send_batch(const BatchView& batch, const RequestContext& context,
                httplib::Response& response) {
  const bool failed = batch.status == "failed" || batch.status == "cancelled";
  const std::string body = with_member(batch_text(batch), "success", failed ? "false" : "true");
  response.set_header("X-Holdfast-Cost", batch.total_cost_usd.value_or("0"));
  response.set_content(with_member(body, "requestId", nlohmann::json(context.request_id).dump()),
                       "application/json");
}

BatchOrder read_order(const RequestContext& context, const httplib::Request& request,
                      const nlohmann::json& body) {
  BatchOrder batch;
  batch.order = read_run_order(context, request, body);
  const auto inputs = body.find("inputs");
  if (inputs == body.end() || !inputs->is_array())
    throw bad_member("The field inputs must be a list of 1 to 10000 objects.", "inputs");
  batch.inputs = dump_json(*inputs);
  const auto most = body.find("maxTotalCost");
  if (most != body.end() && !most->is_null()) {
    if (!most->is_number()) throw bad_member("maxTotalCost must be a number.", "maxTotalCost");
    batch.max_cost_usd = dump_json(*most);
  }
  batch.most_active = static_cast<int>(
      optional_integer(body, "maxActive", 1, kMostActive).value_or(kStandardActive));
  return batch;
}

void start(const Shop& shop, RequestContext& context, const httplib::Request& request,
           const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const BatchOrder order = read_order(context, request, parse_request_object(text));
  const StartedRun started = checking_definition([&] { return shop.batches.start(caller, order); });
  accept_start(started, "batchId", response);
  send_batch(shop.batches.get(caller, started.id), context, response);
  response.status = 202;
}

void get_batch(const Shop& shop, RequestContext& context, const httplib::Request& request,
               httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  send_batch(shop.batches.get(caller, id_of(request)), context, response);
}

void list_batches(const Shop& shop, RequestContext& context, const httplib::Request& request,
                  httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const int limit = whole_parameter(request, "limit", 1, kMostListed, kStandardListed);
  const auto batches = shop.batches.list(caller, limit);
  std::string list;
  for (const BatchView& batch : batches)
    list += (list.empty() ? "" : ",") + batch_text(batch);
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add("total", batches.size())
                           .add_raw("batches", "[" + list + "]")
                           .text(),
                       "application/json");
}

std::string result_text(const BatchResult& result) {
  return ObjectText()
      .add_raw("inputNo", result.input_no)
      .add_raw("input", result.input)
      .add("runId", or_null(result.run_id))
      .add("status", result.status)
      .add_raw("steps", result.steps.value_or("[]"))
      .add_raw("runError", result.error.value_or("null"))
      .add_decimal("totalCostUSD", result.total_cost_usd)
      .add_raw("totalLatencyMs", result.total_latency_ms.value_or("null"))
      .text();
}

// Pages by key: `next` is what the next page's `after` is, null behind the last one.
void list_results(const Shop& shop, RequestContext& context, const httplib::Request& request,
                  httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  BatchPage page;
  page.after = whole_parameter(request, "after", 0, kMostInputs, 0);
  page.limit = whole_parameter(request, "limit", 1, kMostListed, kStandardResults);
  if (request.has_param("status")) page.status = request.get_param_value("status");
  const auto results = shop.batches.results(caller, id_of(request), page);
  std::string list;
  for (const BatchResult& result : results)
    list += (list.empty() ? "" : ",") + result_text(result);
  const bool is_full = static_cast<int>(results.size()) == page.limit;
  response.set_content(ObjectText()
                           .add("success", true)
                           .add("requestId", context.request_id)
                           .add_raw("results", "[" + list + "]")
                           .add_raw("next", is_full ? results.back().input_no : "null")
                           .text(),
                       "application/json");
}

void cancel(const Shop& shop, RequestContext& context, const httplib::Request& request,
            const std::string& text, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string id = id_of(request);
  shop.batches.cancel(caller, id, optional_text(parse_request_object(text), "reason"));
  const std::string batch = batch_text(shop.batches.get(caller, id));
  response.set_content(with_member(with_member(batch, "success", "true"), "requestId",
                                   nlohmann::json(context.request_id).dump()),
                       "application/json");
}

// How a batch stands, told anew at each change until its end. Every event says all, so a client
// that connects anew has missed nothing.
void stream_progress(const Shop& shop, RequestContext& context, const httplib::Request& request,
                     httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string id = id_of(request);
  shop.batches.get(caller, id); // 404 before there is a stream
  const auto tell = [shop, caller, id, told = std::string()](const EventWriter& write) mutable {
    const BatchView batch = shop.batches.get(caller, id);
    const std::string text = batch_text(batch);
    const std::string event = batch.has_ended() ? "batch." + batch.status : "batch.progress";
    if (text != told && !write("event: " + event + "\ndata: " + text + "\n\n")) return Told::nobody;
    told = text;
    return batch.has_ended() ? Told::all : Told::more_to_come;
  };
  send_live_events(shop.services, shop.news, context, {id, tell, kProgressEvery}, response);
}

} // namespace

std::vector<Route> batch_routes(Services& services, BatchDatabase& batches, RunNews& news) {
  const Shop shop{services, batches, news};
  return {post_route("/api/workflows/batches", shop, &start),
          get_route("/api/workflows/batches", shop, &list_batches),
          get_route("/api/workflows/batches/{id}", shop, &get_batch),
          get_route("/api/workflows/batches/{id}/results", shop, &list_results),
          get_route("/api/workflows/batches/{id}/events", shop, &stream_progress),
          post_route("/api/workflows/batches/{id}/cancel", shop, &cancel)};
}

} // namespace holdfast::gateway
