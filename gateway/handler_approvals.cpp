#include "gateway/handler_approvals.hpp"

#include "gateway/database_approvals.hpp"
#include "gateway/http_error.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_json.hpp"

#include <charconv>

namespace holdfast::gateway {
namespace {

constexpr int kListed = 50;

Caller caller_of(RequestContext& context, const httplib::Request& request) {
  const ApiKey key = read_key(request);
  context.organization_id = key.organization_id;
  return {key.organization_id, key.hash};
}

std::string approval_id_of(const httplib::Request& request) {
  const std::string id = request.matches[1];
  return checked_workflow_id(id, "id");
}

int limit_of(const httplib::Request& request) {
  if (!request.has_param("limit")) return kListed;
  const std::string text = request.get_param_value("limit");
  int limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > 1000)
    throw HttpError(400, "bad_value", "The parameter limit must be a whole number from 1 to 1000.",
                    "limit");
  return limit;
}

void send(const RequestContext& context, ObjectText& body, httplib::Response& response) {
  response.set_content(body.add("success", true).add("requestId", context.request_id).text(),
                       "application/json");
}

void list(ApprovalDatabase database, RequestContext& context, const httplib::Request& request,
          httplib::Response& response) {
  std::optional<std::string> status;
  if (request.has_param("status")) status = request.get_param_value("status");
  const auto approvals =
      database.list(caller_of(context, request), status, std::nullopt, limit_of(request));
  std::string all;
  for (const std::string& approval : approvals)
    all += (all.empty() ? "" : ",") + approval;
  ObjectText body;
  body.add("total", approvals.size()).add_raw("approvals", "[" + all + "]");
  send(context, body, response);
}

void send_one(ApprovalDatabase& database, RequestContext& context, const Caller& caller,
              const std::string& id, httplib::Response& response) {
  const auto found = database.list(caller, std::nullopt, id, 1);
  if (found.empty())
    throw HttpError(404, "not_found", "The organization has no approval " + id + ".");
  ObjectText body;
  body.add_raw("approval", found.front());
  send(context, body, response);
}

void get(ApprovalDatabase database, RequestContext& context, const httplib::Request& request,
         httplib::Response& response) {
  send_one(database, context, caller_of(context, request), approval_id_of(request), response);
}

void decide(ApprovalDatabase database, RequestContext& context, const httplib::Request& request,
            const std::string& text, bool approved, httplib::Response& response) {
  const Caller caller = caller_of(context, request);
  const std::string id = approval_id_of(request);
  const auto reason = optional_text(parse_request_object(text.empty() ? "{}" : text), "reason");
  database.decide(caller, id, approved, reason);
  send_one(database, context, caller, id, response);
}

} // namespace

std::vector<Route> approval_routes(Services& services) {
  const ApprovalDatabase database(services.database.pool());
  const auto decision = [database](const char* path, bool approved) {
    return Route{"POST", path,
                 [database, approved](RequestContext& context, const httplib::Request& request,
                                      const std::string& body, httplib::Response& response) {
                   decide(database, context, request, body, approved, response);
                 }};
  };
  return {{"GET", "/api/ai/approvals",
           [database](RequestContext& context, const httplib::Request& request, const std::string&,
                      httplib::Response& response) { list(database, context, request, response); }},
          {"GET", "/api/ai/approvals/{id}",
           [database](RequestContext& context, const httplib::Request& request, const std::string&,
                      httplib::Response& response) { get(database, context, request, response); }},
          decision("/api/ai/approvals/{id}/approve", true),
          decision("/api/ai/approvals/{id}/refuse", false)};
}

} // namespace holdfast::gateway
