#include "gateway/correlation.hpp"

#include "gateway/request_context.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kLongestId = 128;
constexpr std::size_t kTraceParentSize = 55; // 00-(32)-(16)-(2)

bool is_digit_or_letter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

// The header's value when it came once.
std::string only_value(const httplib::Request& request, const char* name) {
  return request.get_header_value_count(name) == 1 ? request.get_header_value(name) : "";
}

} // namespace

bool is_correlation_id(std::string_view text) {
  return !text.empty() && text.size() <= kLongestId &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit_or_letter(c) ||
                  std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
         });
}

std::optional<TraceParent> parse_traceparent(std::string_view text) {
  if (text.size() < kTraceParentSize) return std::nullopt;
  const std::string_view version = text.substr(0, 2);
  // A later version may say more behind another dash.
  if (text.size() > kTraceParentSize && (version == "00" || text[kTraceParentSize] != '-'))
    return std::nullopt;
  const std::string_view trace = text.substr(3, 32);
  const std::string_view parent = text.substr(36, 16);
  const std::string_view flags = text.substr(53, 2);
  const bool dashed = text[2] == '-' && text[35] == '-' && text[52] == '-';
  if (!dashed || !is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags) ||
      version == "ff" || is_zero(trace) || is_zero(parent))
    return std::nullopt;
  return TraceParent{std::string(trace), std::string(flags)};
}

void take_correlation(const httplib::Request& request, RequestContext& context) {
  const auto trace = parse_traceparent(only_value(request, "traceparent"));
  if (trace) {
    std::string span = context.request_id;
    span.erase(std::remove(span.begin(), span.end(), '-'), span.end());
    context.correlation_id = trace->trace_id;
    context.traceparent = "00-" + trace->trace_id + "-" + span.substr(0, 16) + "-" + trace->flags;
  }
  const std::string given = only_value(request, "X-Correlation-Id");
  if (is_correlation_id(given)) context.correlation_id = given;
}

void tell_correlation(const RequestContext& context, httplib::Response& response) {
  response.set_header("X-Correlation-Id", context.correlation_id);
  if (!context.traceparent.empty()) response.set_header("traceparent", context.traceparent);
}

} // namespace holdfast::gateway
