#include "gateway/chat.hpp"

namespace holdfast {

std::string_view error_class_name(ErrorClass error_class) {
  switch (error_class) {
  case ErrorClass::auth:
    return "auth";
  case ErrorClass::invalid_request:
    return "invalid_request";
  case ErrorClass::context_length:
    return "context_length";
  case ErrorClass::content_filter:
    return "content_filter";
  case ErrorClass::rate_limit:
    return "rate_limit";
  case ErrorClass::quota_exhausted:
    return "quota_exhausted";
  case ErrorClass::overloaded:
    return "overloaded";
  case ErrorClass::timeout:
    return "timeout";
  case ErrorClass::network:
    return "network";
  case ErrorClass::server:
    return "server";
  case ErrorClass::client_gone:
    return "client_gone";
  }
  return "server";
}

bool is_transient(ErrorClass error_class) {
  return error_class == ErrorClass::rate_limit || error_class == ErrorClass::overloaded ||
         error_class == ErrorClass::timeout || error_class == ErrorClass::network ||
         error_class == ErrorClass::server;
}

} // namespace holdfast
