// The ids by which a caller finds its request again: X-Correlation-Id, or a W3C traceparent.
#pragma once

#include "gateway/http_library.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::gateway {

struct RequestContext;

// 1 to 128 letters, digits and any of - _ . : / + = @
bool is_correlation_id(std::string_view text);

// What a valid traceparent says; nothing for any other text.
struct TraceParent {
  std::string trace_id; // 32 hexadecimal digits
  std::string flags;    // 2
};
std::optional<TraceParent> parse_traceparent(std::string_view text);

// Takes the ids from the request's headers into the context: the correlation id is
// X-Correlation-Id, else the trace's id, else the request's own. One that is not valid is as none:
// what only serves to find a request again refuses none.
void take_correlation(const httplib::Request& request, RequestContext& context);

// The headers that tell the caller: X-Correlation-Id, and traceparent with the request as the
// parent where one came.
void tell_correlation(const RequestContext& context, httplib::Response& response);

} // namespace holdfast::gateway
