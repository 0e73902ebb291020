// A bounded pool of libpq connections, and the running of prepared statements on them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <libpq-fe.h>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::gateway {

// The database refused a statement. `what()` is its MESSAGE; detail and hint may be empty.
class DatabaseError : public std::runtime_error {
public:
  DatabaseError(std::string sqlstate_, const std::string& message, std::string detail_,
                std::string hint_)
      : std::runtime_error(message), sqlstate(std::move(sqlstate_)), detail(std::move(detail_)),
        hint(std::move(hint_)) {}

  std::string sqlstate;
  std::string detail;
  std::string hint;

  // True when the same statement may succeed later: shutdown, overload, conflict, lock, cancel.
  bool is_transient() const;
};

// The database could not be asked, or the connection was lost before it answered: then what became
// of the statement is unknown.
class DatabaseUnavailable : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
  bool in_doubt = false; // it may have been done
};

// A statement, prepared under `name` on each connection that runs it.
struct Statement {
  const char* name;
  const char* sql;
  // Running it twice does what running it once does, so that it may be repeated on a fresh
  // connection when the first was lost.
  bool repeatable;
};

using Parameters = std::vector<std::optional<std::string>>;
using ResultPtr = std::unique_ptr<PGresult, decltype(&PQclear)>;

// The rows of a result, in text format.
class Rows {
public:
  explicit Rows(ResultPtr result) : result_(std::move(result)) {}
  int size() const { return PQntuples(result_.get()); }
  // Nothing for SQL NULL.
  std::optional<std::string> get(int row, int column) const;
  // Empty for SQL NULL.
  std::string text(int row, int column) const { return get(row, column).value_or(""); }

private:
  ResultPtr result_;
};

// The moment at which waiting for the database ends for good; shared by all connections.
class Deadline {
public:
  using Clock = std::chrono::steady_clock;
  void set(Clock::time_point when) { ticks_ = when.time_since_epoch().count(); }
  bool has_passed() const { return Clock::now().time_since_epoch().count() >= ticks_; }

private:
  std::atomic<Clock::rep> ticks_{Clock::time_point::max().time_since_epoch().count()};
};

// One connection, used by one thread at a time. Every wait is bounded.
class Connection {
public:
  // Connects; throws DatabaseUnavailable.
  Connection(const std::string& conninfo, const Deadline& give_up);

  // False when the server has closed it, or an earlier statement left it in doubt.
  bool is_usable();

  // Prepares the statement when this connection has not yet.
  void prepare(const Statement& statement);

  // Runs a prepared statement. `may_have_run` turns true once the server may have seen it.
  Rows run(const Statement& statement, const Parameters& parameters, bool& may_have_run);

  // Runs several in one transaction, and returns what each came to. When one is refused, none of
  // them has happened: then there are no rows, and its error is the last. Parameter `marked` of a
  // statement, where it has one, is sent as "true".
  struct Order {
    const Statement* statement;
    const Parameters* parameters;
    std::optional<std::size_t> marked;
  };
  struct Together {
    std::vector<Rows> rows;
    std::optional<std::size_t> refused; // which; nothing also when the commit was
    std::optional<DatabaseError> error;
  };
  Together run_together(const std::vector<Order>& orders);

  // What LISTEN has brought within `wait_ms`, by channel and payload.
  std::vector<std::pair<std::string, std::string>> wait_notices(int wait_ms);

  // The server no longer knows what was prepared (a pooler gave us another server).
  void forget_prepared() { prepared_.clear(); }

private:
  void connect(const std::string& conninfo);
  void wait_socket(short events, std::chrono::steady_clock::time_point until);
  void flush(std::chrono::steady_clock::time_point until);
  ResultPtr next_result(std::chrono::steady_clock::time_point until);
  ResultPtr take_result(std::chrono::steady_clock::time_point until);
  void send(const Order& order);
  std::optional<DatabaseError> error_in(const PGresult* result);
  std::optional<DatabaseError> end_together(std::chrono::steady_clock::time_point until);
  [[noreturn]] void lose(const std::string& why);

  std::unique_ptr<PGconn, decltype(&PQfinish)> handle_;
  const Deadline& give_up_;
  std::set<std::string, std::less<>> prepared_;
  bool broken_ = false;
};

// Lends connections, at most `size` at a time.
class DatabasePool {
public:
  DatabasePool(std::string conninfo, int size);

  // Runs a statement on a pooled connection. A connection found dead before the statement was sent
  // is replaced; one lost later only costs a second try when the statement is repeatable.
  Rows run(const Statement& statement, const Parameters& parameters);

  // Prepares the statements on one connection, to learn whether the database knows them.
  void prepare_all(const std::vector<const Statement*>& statements);

  // Closes the connections that wait for work.
  void close_idle();

  // How many connections are at work and wait for work, of at most how many.
  struct Figures {
    std::size_t busy = 0;
    std::size_t idle = 0;
    std::size_t most = 0;
  };
  Figures figures() const;

  void give_up_at(std::chrono::steady_clock::time_point when) { give_up_.set(when); }
  const Deadline& deadline() const { return give_up_; }
  const std::string& conninfo() const { return conninfo_; }

private:
  class Lease;
  struct Attempt {
    bool fresh = false;  // wanted: a new connection
    bool pooled = false; // got: a connection that had waited in the pool
    bool may_have_run = false;
  };
  Rows run_once(const Statement& statement, const Parameters& parameters, Attempt& attempt);
  void wait_for_place();
  std::unique_ptr<Connection> take_idle();
  void give_back(std::unique_ptr<Connection> connection);

  std::string conninfo_;
  int size_;
  Deadline give_up_;
  mutable std::mutex mutex_;
  std::condition_variable place_free_;
  int lent_ = 0;
  std::vector<std::unique_ptr<Connection>> idle_;
};

} // namespace holdfast::gateway
