#include "gateway/run_requests.hpp"

#include "gateway/request_json.hpp"

namespace holdfast::gateway {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kNewsSlice{500}; // a client's or the gateway's end is noticed by then
constexpr std::int64_t kMostWaitMs = 600000;
constexpr std::int64_t kStandardWaitMs = 300000;

} // namespace

Caller caller_of(RequestContext& context, const httplib::Request& request) {
  const ApiKey key = read_key(request);
  context.organization_id = key.organization_id;
  return {key.organization_id, key.hash};
}

bool optional_flag(const nlohmann::json& body, const char* name, bool otherwise) {
  const auto value = body.find(name);
  if (value == body.end() || value->is_null()) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  throw HttpError(400, "bad_value", std::string("The field ") + name + " must be true or false.",
                  name);
}

milliseconds wait_of(const nlohmann::json& body) {
  const bool waits = optional_flag(body, "wait", true);
  const auto most = optional_integer(body, "waitMs", 0, kMostWaitMs).value_or(kStandardWaitMs);
  return milliseconds(waits ? most : 0);
}

RunView wait_for_run(Services& services, RunDatabase& runs, RunNews& news, const Caller& caller,
                     const std::string& run_id, const RequestContext& context, milliseconds most) {
  RunNews::Watch watch(news, run_id);
  const auto until = Clock::now() + most;
  while (true) {
    RunView run = runs.get(caller, run_id);
    const bool goes_on = run.status == "running" && Clock::now() < until && !services.stopping &&
                         !context.client_gone();
    if (!goes_on) return run;
    watch.wait(kNewsSlice);
  }
}

HttpError denied_run(const StartedRun& started, const char* id_member) {
  OpenedCall figures;
  figures.scope = started.scope;
  figures.limit_usd = started.limit_usd;
  figures.spent_usd = started.spent_usd;
  figures.held_usd = started.held_usd;
  HttpError error = error_from_denial(figures);
  error.details.emplace_back(id_member, nlohmann::json(started.id).dump());
  return error;
}

} // namespace holdfast::gateway
