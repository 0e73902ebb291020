#include "gateway/handler_batches.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/json_text.hpp"
#include "gateway/log.hpp"
#include "gateway/request_json.hpp"
#include "gateway/workflow_request.hpp"

#include <thread>

namespace holdfast::gateway {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kNewsSlice{500}; // a client's or the gateway's end is noticed by then
constexpr auto kBeatEvery = std::chrono::seconds(15);
// All runs are counted for it, so it is not asked for at the end of each.
constexpr milliseconds kProgressEvery{200};
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
class ProgressStream {
public:
  ProgressStream(const Shop& shop, RequestContext& context, Caller caller, std::string id)
      : shop_(shop), context_(context), caller_(std::move(caller)), id_(std::move(id)),
        watch_(shop.news, id_) {}

  // False when the client is gone.
  bool run(httplib::DataSink& sink) {
    auto next_beat = Clock::now() + kBeatEvery;
    while (!shop_.services.stopping) {
      const BatchView batch = shop_.batches.get(caller_, id_);
      if (!tell(batch, sink)) return gone();
      if (batch.has_ended()) break;
      const auto next_look = Clock::now() + kProgressEvery;
      watch_.wait(kNewsSlice);
      std::this_thread::sleep_until(next_look);
      if (context_.client_gone()) return gone();
      if (Clock::now() < next_beat) continue;
      next_beat = Clock::now() + kBeatEvery;
      if (!write(sink, ": still running\n\n")) return gone();
    }
    sink.done();
    return true;
  }

private:
  bool tell(const BatchView& batch, httplib::DataSink& sink) {
    const std::string text = batch_text(batch);
    if (text == told_) return true;
    told_ = text;
    const std::string event = batch.has_ended() ? "batch." + batch.status : "batch.progress";
    return write(sink, "event: " + event + "\ndata: " + text + "\n\n");
  }

  static bool write(httplib::DataSink& sink, const std::string& text) {
    return sink.write(text.data(), text.size());
  }

  bool gone() {
    context_.error_code = "client_gone";
    return false;
  }

  Shop shop_;
  RequestContext& context_;
  Caller caller_;
  std::string id_;
  std::string told_;
  RunNews::Watch watch_;
};

void stream_progress(const Shop& shop, RequestContext& context, const httplib::Request& request,
                     httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string id = id_of(request);
  shop.batches.get(caller, id); // 404 before there is a stream
  const auto stream = std::make_shared<ProgressStream>(shop, context, caller, id);
  set_event_headers(response);
  response.set_chunked_content_provider(
      "text/event-stream", [stream, &context](std::size_t, httplib::DataSink& sink) {
        try {
          return stream->run(sink);
        } catch (const std::exception& error) {
          // The client connects anew.
          log_event(LogLevel::warning, "batch_events_failed", context, error.what());
          context.error_code = "internal_error";
          return false;
        }
      });
}

} // namespace

std::vector<Route> batch_routes(Services& services, BatchDatabase& batches, RunNews& news) {
  const Shop shop{services, batches, news};
  using Handler = void (*)(const Shop&, RequestContext&, const httplib::Request&,
                           const std::string&, httplib::Response&);
  using Getter =
      void (*)(const Shop&, RequestContext&, const httplib::Request&, httplib::Response&);
  const auto post = [shop](const char* path, Handler handler) {
    return Route{"POST", path,
                 [shop, handler](RequestContext& context, const httplib::Request& request,
                                 const std::string& body, httplib::Response& response) {
                   handler(shop, context, request, body, response);
                 }};
  };
  const auto get = [shop](const char* path, Getter getter) {
    return Route{
        "GET", path,
        [shop, getter](RequestContext& context, const httplib::Request& request, const std::string&,
                       httplib::Response& response) { getter(shop, context, request, response); }};
  };
  return {post("/api/workflows/batches", start),
          get("/api/workflows/batches", list_batches),
          get("/api/workflows/batches/{id}", get_batch),
          get("/api/workflows/batches/{id}/results", list_results),
          get("/api/workflows/batches/{id}/events", stream_progress),
          post("/api/workflows/batches/{id}/cancel", cancel)};
}

} // namespace holdfast::gateway
