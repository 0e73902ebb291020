// What the requests on workflows have in common.
#pragma once

#include "gateway/run_requests.hpp"
#include "gateway/server.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace holdfast::gateway {

// The UUID in the path.
std::string id_of(const httplib::Request& request);

// A number that the request's query may have.
int whole_parameter(const httplib::Request& request, const char* name, int least, int most,
                    int otherwise);

HttpError bad_member(const std::string& what, const std::string& field);

// Which workflow is to run, for whom, under which key: of headers and body. `workflow` is a
// definition, or the name of a saved one.
RunOrder read_run_order(const RequestContext& context, const httplib::Request& request,
                        const nlohmann::json& body);

// Tells how the rate limits stand. Throws HttpError where a limit or a budget refused; `id_member`
// names what is on record then.
void accept_start(const StartedRun& started, const char* id_member, httplib::Response& response);

// A run as it stands, as JSON. The whole answer is 202 while it goes on.
std::string run_text(const RunView& run);
void send_run(const RunView& run, const RequestContext& context, httplib::Response& response);

// A definition's fault is not about a model.
[[noreturn]] void throw_definition_fault(const DatabaseError& error);
template <class Work>
auto checking_definition(Work work) {
  try {
    return work();
  } catch (const DatabaseError& error) {
    if (error.sqlstate != "PT422") throw;
    throw_definition_fault(error);
  }
}

// Routes whose handlers get what they work with.
template <class Shop>
Route post_route(const char* path, const Shop& shop,
                 void (*handler)(const Shop&, RequestContext&, const httplib::Request&,
                                 const std::string&, httplib::Response&)) {
  return {"POST", path,
          [shop, handler](RequestContext& context, const httplib::Request& request,
                          const std::string& body, httplib::Response& response) {
            handler(shop, context, request, body, response);
          }};
}
template <class Shop>
Route get_route(const char* path, const Shop& shop,
                void (*handler)(const Shop&, RequestContext&, const httplib::Request&,
                                httplib::Response&)) {
  return {
      "GET", path,
      [shop, handler](RequestContext& context, const httplib::Request& request, const std::string&,
                      httplib::Response& response) { handler(shop, context, request, response); }};
}

} // namespace holdfast::gateway
