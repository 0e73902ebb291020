#include "gateway/server.hpp"

#include "gateway/client_socket.hpp"
#include "gateway/correlation.hpp"
#include "gateway/json_text.hpp"
#include "gateway/log.hpp"
#include "gateway/metrics.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <strings.h>
#include <sys/socket.h>

namespace holdfast::gateway {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMostHeadBytes = 65536;
constexpr milliseconds kHeadWait{10000};
constexpr milliseconds kBodyWait{60000};
constexpr milliseconds kIdleWait{15000};
// The next request of a busy client finds its thread waiting.
constexpr milliseconds kBusyWait{50};
constexpr std::size_t kMostIdle = 16384;
constexpr milliseconds kLinger{500};
constexpr milliseconds kRefusedWait{100};
constexpr int kMostRequestsPerConnection = 1000;
constexpr int kBacklog = 511;

// What the library sees of the workers, which outlive its listening.
class LibraryQueue : public httplib::TaskQueue {
public:
  explicit LibraryQueue(WorkerPool& workers) : workers_(workers) {}
  void enqueue(std::function<void()> task) override { workers_.enqueue(std::move(task)); }
  void shutdown() override { workers_.shutdown(); }

private:
  WorkerPool& workers_;
};

// The library's callbacks name the request, not the connection; a worker serves one at a time.
thread_local RequestContext* current_request = nullptr;
thread_local const ClientSocket* current_client = nullptr;

bool has_body(const httplib::Request& request) {
  return request.has_header("Transfer-Encoding") ||
         (request.has_header("Content-Length") &&
          request.get_header_value("Content-Length") != "0");
}

// Whether a path is one of the route's.
bool is_at(const Route& route, const std::string& path) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < route.path.size(); ++i) {
    if (route.path[i] != '{') {
      if (at == path.size() || path[at++] != route.path[i]) return false;
      continue;
    }
    i = route.path.find('}', i);
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (end == at) return false;
    at = end;
  }
  return at == path.size();
}

// The route's path as the library's regular expression.
std::string path_pattern(const std::string& path) {
  std::string pattern;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '{') {
      pattern += "([^/]+)";
      i = path.find('}', i);
    } else {
      pattern += path[i] == '.' ? "\\." : std::string(1, path[i]);
    }
  }
  return pattern;
}

// What the log calls a request: its route, not the ids in its path.
std::string route_name(const std::vector<Route>& routes, const httplib::Request& request) {
  const auto route = std::find_if(routes.begin(), routes.end(),
                                  [&](const Route& one) { return is_at(one, request.path); });
  return request.method + " " + (route == routes.end() ? request.path : route->path);
}

bool same_word(const std::string& a, const char* b) {
  return strcasecmp(a.c_str(), b) == 0;
}

// The body's length must be certain: two opinions about it let a request hide inside another.
std::optional<HttpError> check_framing(const httplib::Request& request,
                                       std::size_t max_body_bytes) {
  const auto lengths = request.get_header_value_count("Content-Length");
  const auto encodings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + encodings > 1) {
    return HttpError(400, "bad_framing", "The body's length is given more than once.");
  }
  if (encodings == 1 && !same_word(request.get_header_value("Transfer-Encoding"), "chunked")) {
    return HttpError(400, "bad_framing", "The only Transfer-Encoding taken is chunked.");
  }
  if (lengths == 0) return std::nullopt;
  const std::string length = request.get_header_value("Content-Length");
  const bool digits =
      !length.empty() && std::all_of(length.begin(), length.end(),
                                     [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits) return HttpError(400, "bad_framing", "The Content-Length is not a number.");
  if (length.size() > 15 || std::stoull(length) > max_body_bytes) {
    return HttpError(413, "body_too_large",
                     "The body is larger than the " + std::to_string(max_body_bytes) +
                         " bytes allowed.");
  }
  return std::nullopt;
}

// All lines of a header as one list.
std::string all_values(const httplib::Request& request, const char* name) {
  std::string list;
  for (std::size_t i = 0; i < request.get_header_value_count(name); ++i)
    list += (i == 0 ? "" : ",") + request.get_header_value(name, i);
  return list;
}

std::optional<HttpError> check_media(const httplib::Request& request) {
  const std::string encoding = request.get_header_value("Content-Encoding");
  if (!encoding.empty() && !same_word(encoding, "identity")) {
    return HttpError(415, "unsupported_encoding",
                     "The body comes with Content-Encoding " + encoding +
                         ", which is not taken. Send it without.");
  }
  std::string type = request.get_header_value("Content-Type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ')
    type.pop_back();
  if (!same_word(type, "application/json")) {
    return HttpError(415, "unsupported_media_type",
                     "The body must come with Content-Type: application/json.");
  }
  return std::nullopt;
}

void render(const HttpError& error, RequestContext& context, const httplib::Request& request,
            httplib::Response& response) {
  context.error_code = error.code;
  response.status = error.status;
  response.set_content(error_body(error, error_shape(request.path), context.request_id),
                       "application/json");
  if (error.retry_after_s) response.set_header("Retry-After", std::to_string(*error.retry_after_s));
  for (const auto& [name, value] : error.headers)
    response.set_header(name, value);
}

// Turns whatever a handler threw into the caller's answer; what is not theirs goes to the log.
HttpError to_http_error(const std::exception_ptr& thrown, const RequestContext& context) {
  try {
    std::rethrow_exception(thrown);
  } catch (const HttpError& error) {
    return error;
  } catch (const DatabaseError& error) {
    HttpError answer = error_from_database(error);
    if (answer.status >= 500) {
      log_event(LogLevel::error, "database_error", context, error.sqlstate + " " + error.what());
    }
    return answer;
  } catch (const DatabaseUnavailable& error) {
    log_event(LogLevel::error, "database_unavailable", context, error.what());
    return database_away();
  } catch (const std::exception& error) {
    log_event(LogLevel::error, "internal_error", context, error.what());
  } catch (...) {
    log_event(LogLevel::error, "internal_error", context, "unknown exception");
  }
  return error_from_database(DatabaseError("XX000", "", "", ""));
}

// What the library found wrong by itself: the request could not be read.
HttpError unreadable(int status) {
  const auto trouble = current_client->trouble();
  if (trouble == ClientSocket::Trouble::too_slow) {
    return {408, "request_timeout", "The request did not arrive in time."};
  }
  if (trouble == ClientSocket::Trouble::too_many_bytes) {
    return {431, "headers_too_large",
            "The request's headers are larger than the " + std::to_string(kMostHeadBytes) +
                " bytes allowed."};
  }
  if (status == 414) return {414, "uri_too_long", "The request's URI is too long."};
  if (status == 416) return {416, "bad_range", "The Range header cannot be understood."};
  return {status >= 400 ? status : 400, "malformed_request",
          "The request is not HTTP that can be understood."};
}

std::string read_body(RequestContext& context, const httplib::ContentReader& reader,
                      std::size_t max_body_bytes) {
  std::string body;
  bool too_large = false;
  const bool complete = reader([&](const char* data, std::size_t size) {
    too_large = size > max_body_bytes - body.size();
    if (!too_large) body.append(data, size);
    return !too_large;
  });
  const auto trouble = current_client->trouble();
  if (too_large || trouble == ClientSocket::Trouble::too_many_bytes) {
    throw HttpError(413, "body_too_large",
                    "The body is larger than the " + std::to_string(max_body_bytes) +
                        " bytes allowed.");
  }
  if (trouble == ClientSocket::Trouble::too_slow) throw unreadable(408);
  if (!complete) throw HttpError(400, "incomplete_body", "The body ended before its length.");
  context.unread = false;
  return body;
}

void log_request(const RequestContext& context, int status) {
  LogRecord line(status >= 500 ? LogLevel::warning : LogLevel::info, "request");
  line.of(context)
      .add("route", context.route)
      .add("status", status)
      .add("latencyMs", context.elapsed_ms());
  if (!context.model.empty()) line.add("model", context.model);
  if (!context.provider.empty()) line.add("provider", context.provider);
  if (context.cost_usd) line.add_decimal("costUSD", context.cost_usd);
  if (!context.error_code.empty()) line.add("error", context.error_code);
  // What was not found has a path of the caller's choice.
  metrics().count_request(context.error_code == "method_not_allowed" ? "unknown" : context.route,
                          status, context.elapsed_ms());
  line.write();
}

// Says no to a connection of which nothing was read.
void refuse(ClientSocket& client, const HttpError& error) {
  RequestContext context;
  // Which path it asks for is not known.
  const std::string body = error_body(error, ErrorShape::api, context.request_id);
  std::string answer = "HTTP/1.1 " + std::to_string(error.status) + ' ' +
                       (error.status == 503 ? "Service Unavailable" : "Bad Request") +
                       "\r\nContent-Type: application/json\r\n";
  if (error.retry_after_s)
    answer += "Retry-After: " + std::to_string(*error.retry_after_s) + "\r\n";
  answer += "Connection: close\r\nX-Holdfast-Request: " + context.request_id +
            "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  if (client.write(answer.data(), answer.size()) > 0) client.end();
  context.error_code = error.code;
  log_request(context, error.status);
}

// Takes what the client has sent of its handshake. False when the connection is to end.
bool go_on_with_handshake(ClientSocket& client) {
  if (ClientSocket::Clock::now() >= client.since + kHeadWait) return false;
  switch (client.shake_hands()) {
  case ClientSocket::Handshake::over:
  case ClientSocket::Handshake::waiting:
    return true;
  case ClientSocket::Handshake::no_tls:
    refuse(client, {400, "tls_required", "This port speaks TLS: use https."});
    return false;
  case ClientSocket::Handshake::failed:
    break;
  }
  const std::string fault = client.handshake_fault();
  if (!fault.empty()) log_event(LogLevel::debug, "handshake_failed", fault);
  return false;
}

// A client of TLS understands no answer before its handshake.
void refuse_for_now(ClientSocket& client) {
  const auto until = ClientSocket::Clock::now() + kRefusedWait;
  while (!client.is_secured()) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - ClientSocket::Clock::now());
    if (left.count() <= 0 || !client.wait_for_data(left) || !go_on_with_handshake(client)) return;
  }
  HttpError error(503, "overloaded",
                  "The gateway is at its limit of connections. Try again shortly.");
  error.retry_after_s = 1;
  refuse(client, error);
}

// Until when it may say nothing.
ClientSocket::Clock::time_point patience_with(const ClientSocket& client) {
  if (!client.is_secured()) return client.since + kHeadWait;
  return ClientSocket::Clock::now() + (client.requests == 0 ? kHeadWait : kIdleWait);
}

} // namespace

std::optional<HttpError> check_head(const httplib::Request& request,
                                    const std::vector<Route>& routes, std::size_t max_body_bytes) {
  if (auto error = check_framing(request, max_body_bytes)) return error;
  std::string allowed;
  bool found = false;
  for (const Route& route : routes) {
    if (!is_at(route, request.path)) continue;
    found = found || route.method == request.method ||
            (route.method == "GET" && request.method == "HEAD");
    allowed += (allowed.empty() ? "" : ", ") + route.method;
    if (route.method == "GET") allowed += ", HEAD";
  }
  if (allowed.empty()) {
    return HttpError(404, "not_found", "There is nothing at this path.");
  }
  if (!found) {
    HttpError error(405, "method_not_allowed", "This path takes " + allowed + " only.");
    error.headers.emplace_back("Allow", allowed);
    return error;
  }
  return request.method == "POST" ? check_media(request) : std::nullopt;
}

Server::Server(ServerBounds bounds, std::vector<Route> routes, TlsSource tls)
    : bounds_(std::move(bounds)), routes_(std::move(routes)), tls_(std::move(tls)),
      workers_(bounds_.threads, bounds_.threads, waiting_),
      idle_(
          [this](std::shared_ptr<ClientSocket> client) {
            if (client->ended()) return let_go(std::move(client));
            workers_.enqueue([this, client] { serve_as(WorkerPool::lane(), client); });
          },
          kMostIdle) {
  new_task_queue = [this] { return std::make_unique<LibraryQueue>(workers_).release(); };
  set_tcp_nodelay(true);
  // Without SO_REUSEPORT, so that an address that is taken is an error.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(kIdleWait).count());
  set_keep_alive_max_count(kMostRequestsPerConnection);
  set_payload_max_length(bounds_.max_body_bytes);
  set_handlers();
  for (const Route& route : routes_)
    add_route(route);
}

void Server::set_handlers() {
  set_pre_routing_handler([](const httplib::Request&, httplib::Response&) {
    if (current_request->refusal) throw HttpError(*current_request->refusal);
    return HandlerResponse::Unhandled;
  });
  set_expect_100_continue_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!current_request->refusal) return 100;
    render(*current_request->refusal, *current_request, request, response);
    return response.status;
  });
  set_exception_handler([](const httplib::Request& request, httplib::Response& response,
                           const std::exception_ptr& thrown) {
    render(to_http_error(thrown, *current_request), *current_request, request, response);
  });
  set_error_handler(Handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    render(unreadable(response.status), *current_request, request, response);
  }));
  set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
    response.set_header("X-Holdfast-Request", current_request->request_id);
    tell_correlation(*current_request, response);
    for (const auto& [name, value] : current_request->notices)
      response.set_header(name, value);
    if (!current_request->unread) return;
    response.headers.erase("Keep-Alive");
    response.headers.erase("Connection");
    response.set_header("Connection", "close");
  });
  set_logger([](const httplib::Request&, const httplib::Response& response) {
    log_request(*current_request, response.status);
  });
}

void Server::add_route(const Route& route) {
  if (route.method == "GET") {
    Get(path_pattern(route.path),
        [&route](const httplib::Request& request, httplib::Response& response) {
          route.handler(*current_request, request, "", response);
        });
    return;
  }
  Post(path_pattern(route.path),
       [this, &route](const httplib::Request& request, httplib::Response& response,
                      const httplib::ContentReader& reader) {
         const std::string body = read_body(*current_request, reader, bounds_.max_body_bytes);
         current_request->body = body;
         route.handler(*current_request, request, body, response);
       });
}

int Server::bind(const std::string& host, int port) {
  const int bound = port == 0 ? bind_to_any_port(host) : (bind_to_port(host, port) ? port : -1);
  // The library's own backlog of 5 turns bursts away.
  if (bound < 0 || ::listen(svr_sock_, kBacklog) != 0) {
    throw std::runtime_error("cannot listen on " + host + ":" + std::to_string(port) +
                             " (--listen): the address is taken or not this machine's");
  }
  return bound;
}

bool Server::serve() {
  const bool ended_well = listen_after_bind();
  return ended_well || stopping_;
}

void Server::stop() {
  stopping_ = true;
  idle_.end();
  // Wakes accept(). The library's stop() would also cut the streams that are running.
  ::shutdown(svr_sock_, SHUT_RDWR);
}

bool Server::process_and_close_socket(socket_t socket) {
  const auto lane = WorkerPool::lane();
  serve_as(lane, std::make_shared<ClientSocket>(
                     socket, [this] { return waiting_ > 0; }, tls_ ? tls_() : nullptr));
  return lane == WorkerPool::Lane::serve;
}

void Server::serve_as(WorkerPool::Lane lane, const std::shared_ptr<ClientSocket>& client) {
  if (lane == WorkerPool::Lane::drop) return;
  try {
    if (lane == WorkerPool::Lane::refuse) {
      refuse_for_now(*client);
    } else {
      serve_connection(client);
    }
    if (client->ended()) let_go(client);
  } catch (const std::exception& error) {
    log_event(LogLevel::error, "internal_error", error.what());
  }
}

// Serves until the client pauses. Its thread waits for it a moment, unless others need the thread;
// for the next piece of a handshake it does not wait.
void Server::serve_connection(const std::shared_ptr<ClientSocket>& client) {
  for (;;) {
    const bool can_wait = client->is_secured() && waiting_ == 0;
    if (!client->wait_for_data(can_wait ? kBusyWait : milliseconds(0))) {
      if (!stopping_) idle_.park(client, patience_with(*client));
      return;
    }
    if (!client->is_secured()) {
      if (go_on_with_handshake(*client)) continue;
      return;
    }
    ++client->requests;
    if (serve_one(*client, client->requests == kMostRequestsPerConnection || stopping_)) continue;
    if (stopping_)
      client->linger(kLinger);
    else
      client->end();
    return;
  }
}

// Keeps what was ended until its client has taken the answer: closing it while something is unread
// would make the kernel throw that away. No thread waits for it.
void Server::let_go(std::shared_ptr<ClientSocket> client) {
  const auto until = *client->ended() + kLinger;
  if (client->drain() && ClientSocket::Clock::now() < until) idle_.park(std::move(client), until);
}

bool Server::serve_one(ClientSocket& client, bool last) {
  RequestContext context;
  context.client_gone = [&client] { return client.peer_has_closed(); };
  current_request = &context;
  current_client = &client;
  client.allow(kMostHeadBytes, kHeadWait);
  bool closed = false;
  const bool went_well = process_request(client, last, closed, [&](httplib::Request& request) {
    context.refusal = check_head(request, routes_, bounds_.max_body_bytes);
    context.unread = has_body(request);
    take_correlation(request, context);
    context.client_ip = client_address(request.remote_addr, all_values(request, "X-Forwarded-For"),
                                       bounds_.trusted_proxies);
    if (!context.refusal || context.refusal->status != 404) {
      context.route = route_name(routes_, request);
    }
    // Answers are small or streams: neither ranges nor compression serve them.
    request.ranges.clear();
    request.headers.erase("Accept-Encoding");
    if (!has_body(request)) request.headers.emplace("Content-Length", "0");
    // Chunks bring some bytes of their own with them.
    client.allow(bounds_.max_body_bytes * 2 + kMostHeadBytes, kBodyWait);
  });
  const bool sent = client.flush();
  current_request = nullptr;
  current_client = nullptr;
  return sent && went_well && !closed && !context.unread;
}

} // namespace holdfast::gateway
