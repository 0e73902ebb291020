// The HTTP server: bounds, routes, error answers, the log line of each request.
#pragma once

#include "gateway/client_address.hpp"
#include "gateway/client_socket.hpp"
#include "gateway/http_library.hpp"
#include "gateway/idle_connections.hpp"
#include "gateway/request_context.hpp"
#include "gateway/worker_pool.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace holdfast::gateway {

// One endpoint: a path, in which `{name}` stands for one part of any text (request.matches has
// them, from 1), and its method. The handler gets the whole body, "" for GET, and throws HttpError,
// DatabaseError or DatabaseUnavailable for what is not to be answered.
struct Route {
  using Handler = std::function<void(RequestContext&, const httplib::Request&,
                                     const std::string& body, httplib::Response&)>;
  std::string method;
  std::string path;
  Handler handler;
};

struct ServerBounds {
  std::size_t threads = 1024;
  std::size_t max_body_bytes = 1048576;
  std::vector<Network> trusted_proxies;
};

// What is wrong with a request before its body is read; nothing when it may go on. 404 and 405 by
// the routes; 400, 413, 415 by the headers that frame and describe the body.
std::optional<HttpError> check_head(const httplib::Request& request,
                                    const std::vector<Route>& routes, std::size_t max_body_bytes);

// What a new connection is served with.
using TlsSource = std::function<std::shared_ptr<const TlsContext>()>;

// Serves the routes. cpp-httplib parses and writes; the connection, its bounds and its threads are
// ours, since the library bounds neither headers, nor chunked bodies, nor its queue. A request has
// a thread while it is at work; a connection without one needs none.
class Server : private httplib::Server {
public:
  // Without a source of certificates it speaks plain HTTP.
  Server(ServerBounds bounds, std::vector<Route> routes, TlsSource tls = nullptr);

  // Listens, and returns the port. Throws std::runtime_error when that cannot be had.
  int bind(const std::string& host, int port);

  // Serves until stop(), and until what was begun by then is answered. False when the listening
  // socket failed.
  bool serve();

  // Accepts no more connections; those that are idle end. Safe from another thread.
  void stop();

private:
  bool process_and_close_socket(socket_t socket) override;
  void serve_as(WorkerPool::Lane lane, const std::shared_ptr<ClientSocket>& client);
  void serve_connection(const std::shared_ptr<ClientSocket>& client);
  bool serve_one(ClientSocket& client, bool last);
  void let_go(std::shared_ptr<ClientSocket> client);
  void set_handlers();
  void add_route(const Route& route);

  ServerBounds bounds_;
  std::vector<Route> routes_;
  TlsSource tls_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> waiting_{0};
  WorkerPool workers_;
  IdleConnections idle_; // goes first: it gives to the workers
};

} // namespace holdfast::gateway
