#include "gateway/database_pool.hpp"

#include <algorithm>
#include <array>
#include <poll.h>

namespace holdfast::gateway {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kConnectWait = std::chrono::seconds(5);
constexpr auto kStatementWait = std::chrono::seconds(15);
constexpr auto kPlaceWait = std::chrono::seconds(3);
constexpr int kPollSliceMs = 100;
constexpr int kMostTries = 4;
constexpr const char* kUnknownStatement = "26000";
constexpr const char* kReadOnly = "25006";

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

DatabaseError error_of(const PGresult* result) {
  return {field(result, PG_DIAG_SQLSTATE), field(result, PG_DIAG_MESSAGE_PRIMARY),
          field(result, PG_DIAG_MESSAGE_DETAIL), field(result, PG_DIAG_MESSAGE_HINT)};
}

bool succeeded(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

// libpq ends its messages with a newline.
std::string one_line(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

bool has_prefix(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

} // namespace

bool DatabaseError::is_transient() const {
  static constexpr std::array<std::string_view, 6> kClasses = {"08", "40", "53", "57", "58", "55P"};
  return std::any_of(kClasses.begin(), kClasses.end(),
                     [&](std::string_view prefix) { return has_prefix(sqlstate, prefix); });
}

std::optional<std::string> Rows::get(int row, int column) const {
  if (PQgetisnull(result_.get(), row, column) != 0) return std::nullopt;
  return std::string(PQgetvalue(result_.get(), row, column),
                     static_cast<std::size_t>(PQgetlength(result_.get(), row, column)));
}

namespace {

// What libpq says of a conninfo that it cannot read quotes it, and there may be a password in it.
void check_conninfo(const std::string& conninfo) {
  if (conninfo.find('=') == std::string::npos && conninfo.find("://") == std::string::npos) return;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(conninfo.c_str(), nullptr), &PQconninfoFree);
  if (!options) throw DatabaseUnavailable("its connection string is none that libpq can read");
}

} // namespace

Connection::Connection(const std::string& conninfo, const Deadline& give_up)
    : handle_(nullptr, &PQfinish), give_up_(give_up) {
  connect(conninfo);
}

void Connection::connect(const std::string& conninfo) {
  check_conninfo(conninfo);
  // What comes after the conninfo has the last word; those before it are defaults.
  const std::array<const char*, 6> names = {"tcp_user_timeout",          "keepalives_idle",
                                            "fallback_application_name", "dbname",
                                            "client_encoding",           nullptr};
  const std::array<const char*, 6> values = {"15000",          "30",   "holdfast-gateway",
                                             conninfo.c_str(), "UTF8", nullptr};
  handle_.reset(PQconnectStartParams(names.data(), values.data(), 1));
  if (!handle_) throw std::bad_alloc();
  const auto until = Clock::now() + kConnectWait;
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (PQstatus(handle_.get()) == CONNECTION_BAD || state == PGRES_POLLING_FAILED) {
      lose("cannot connect");
    }
    wait_socket(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until);
    state = PQconnectPoll(handle_.get());
  }
  if (PQsetnonblocking(handle_.get(), 1) != 0) lose("cannot connect");
}

void Connection::lose(const std::string& why) {
  broken_ = true;
  const std::string detail = one_line(PQerrorMessage(handle_.get()));
  throw DatabaseUnavailable(detail.empty() ? why : why + ": " + detail);
}

void Connection::wait_socket(short events, Clock::time_point until) {
  for (;;) {
    pollfd entry{PQsocket(handle_.get()), events, 0};
    if (poll(&entry, 1, kPollSliceMs) > 0) return;
    if (Clock::now() >= until || give_up_.has_passed()) lose("the database did not answer in time");
  }
}

bool Connection::is_usable() {
  if (broken_ || PQstatus(handle_.get()) != CONNECTION_OK) return false;
  // Nothing is due between statements: what comes unasked is most likely the connection's end.
  pollfd entry{PQsocket(handle_.get()), POLLIN, 0};
  return poll(&entry, 1, 0) == 0;
}

void Connection::flush(Clock::time_point until) {
  for (;;) {
    const int left = PQflush(handle_.get());
    if (left == 0) return;
    if (left < 0) lose("the connection to the database was lost");
    wait_socket(POLLIN | POLLOUT, until);
    if (PQconsumeInput(handle_.get()) == 0) lose("the connection to the database was lost");
  }
}

// Nothing at the end of what one statement came to.
ResultPtr Connection::next_result(Clock::time_point until) {
  while (PQisBusy(handle_.get()) != 0) {
    wait_socket(POLLIN, until);
    if (PQconsumeInput(handle_.get()) == 0) lose("the connection to the database was lost");
  }
  return {PQgetResult(handle_.get()), &PQclear};
}

// The first result of what was sent; the rest is read away, so that the connection is ready again.
ResultPtr Connection::take_result(Clock::time_point until) {
  ResultPtr first(nullptr, &PQclear);
  while (ResultPtr next = next_result(until))
    if (!first) first = std::move(next);
  if (!first) lose("the database sent no result");
  return first;
}

void Connection::prepare(const Statement& statement) {
  if (prepared_.count(statement.name) != 0) return;
  const auto until = Clock::now() + kStatementWait;
  if (PQsendPrepare(handle_.get(), statement.name, statement.sql, 0, nullptr) == 0) {
    lose("the connection to the database was lost");
  }
  flush(until);
  const ResultPtr result = take_result(until);
  if (PQstatus(handle_.get()) != CONNECTION_OK) lose("the connection to the database was lost");
  if (!succeeded(result.get())) throw error_of(result.get());
  prepared_.insert(statement.name);
}

void Connection::send(const Order& order) {
  std::vector<const char*> values;
  values.reserve(order.parameters->size());
  for (const auto& value : *order.parameters)
    values.push_back(value ? value->c_str() : nullptr);
  if (order.marked) values.at(*order.marked) = "true";
  if (PQsendQueryPrepared(handle_.get(), order.statement->name, static_cast<int>(values.size()),
                          values.data(), nullptr, nullptr, 0) == 0) {
    lose("the connection to the database was lost");
  }
}

// Why the database refused, if it did. Loses the connection when that has ended.
std::optional<DatabaseError> Connection::error_in(const PGresult* result) {
  if (succeeded(result)) return std::nullopt;
  DatabaseError error = error_of(result);
  // Without an SQLSTATE it is libpq that speaks; 57P01 to 57P05 end the session.
  if (error.sqlstate.empty() || has_prefix(error.sqlstate, "57P")) {
    lose("the connection to the database was lost");
  }
  // A standby, or a primary that is none any more: a new connection may reach the right one.
  if (error.sqlstate == kReadOnly) lose("the database is read-only");
  return error;
}

Rows Connection::run(const Statement& statement, const Parameters& parameters, bool& may_have_run) {
  const auto until = Clock::now() + kStatementWait;
  send({&statement, &parameters, std::nullopt});
  may_have_run = true;
  flush(until);
  ResultPtr result = take_result(until);
  if (field(result.get(), PG_DIAG_SQLSTATE) == kReadOnly) may_have_run = false;
  if (const auto error = error_in(result.get())) throw DatabaseError(*error);
  return Rows(std::move(result));
}

// libpq's pipeline: what is sent before one Sync is one transaction.
Connection::Together Connection::run_together(const std::vector<Order>& orders) {
  const auto until = Clock::now() + kStatementWait;
  if (PQenterPipelineMode(handle_.get()) == 0) lose("the connection takes no batch");
  for (const Order& order : orders)
    send(order);
  if (PQpipelineSync(handle_.get()) == 0) lose("the connection to the database was lost");
  flush(until);
  Together together;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    ResultPtr result = take_result(until);
    if (together.error) continue; // what comes after a refused one was not run
    together.error = error_in(result.get());
    if (together.error) together.refused = i;
    together.rows.emplace_back(std::move(result));
  }
  const std::optional<DatabaseError> at_end = end_together(until);
  if (!together.error) together.error = at_end;
  if (together.error) together.rows.clear();
  return together;
}

// Waits for the commit; why there was none, if there was none.
std::optional<DatabaseError> Connection::end_together(Clock::time_point until) {
  std::optional<DatabaseError> error;
  for (;;) {
    const ResultPtr result = next_result(until);
    if (!result) lose("the batch has no end");
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) break;
    error = error_in(result.get());
    while (next_result(until)) {
    }
  }
  if (PQexitPipelineMode(handle_.get()) == 0) lose("the batch did not end");
  return error;
}

std::vector<std::pair<std::string, std::string>> Connection::wait_notices(int wait_ms) {
  pollfd entry{PQsocket(handle_.get()), POLLIN, 0};
  if (poll(&entry, 1, wait_ms) > 0 && PQconsumeInput(handle_.get()) == 0)
    lose("the connection to the database was lost");
  std::vector<std::pair<std::string, std::string>> notices;
  for (;;) {
    const std::unique_ptr<PGnotify, decltype(&PQfreemem)> notice(PQnotifies(handle_.get()),
                                                                 &PQfreemem);
    if (!notice) return notices;
    notices.emplace_back(notice->relname, notice->extra);
  }
}

// A place in the pool, and the connection in it; gives both back.
class DatabasePool::Lease {
public:
  Lease(DatabasePool& pool, Attempt& attempt) : pool_(pool) {
    pool_.wait_for_place();
    try {
      connection_ = pool_.take_idle();
      // A new connection takes the place of a waiting one, so that there are never more than size.
      if (attempt.fresh) connection_.reset();
      attempt.pooled = connection_ != nullptr;
      if (!connection_) connection_ = std::make_unique<Connection>(pool_.conninfo_, pool_.give_up_);
    } catch (...) {
      pool_.give_back(nullptr);
      throw;
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { pool_.give_back(std::move(connection_)); }
  Connection& connection() { return *connection_; }

private:
  DatabasePool& pool_;
  std::unique_ptr<Connection> connection_;
};

DatabasePool::DatabasePool(std::string conninfo, int size)
    : conninfo_(std::move(conninfo)), size_(size) {}

DatabasePool::Figures DatabasePool::figures() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {static_cast<std::size_t>(lent_), idle_.size(), static_cast<std::size_t>(size_)};
}

void DatabasePool::close_idle() {
  std::vector<std::unique_ptr<Connection>> closed; // outside of the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  closed.swap(idle_);
}

void DatabasePool::wait_for_place() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!place_free_.wait_for(lock, kPlaceWait, [&] { return lent_ < size_; })) {
    throw DatabaseUnavailable("all " + std::to_string(size_) + " database connections are busy");
  }
  ++lent_;
}

std::unique_ptr<Connection> DatabasePool::take_idle() {
  for (;;) {
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (idle_.empty()) return nullptr;
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
    if (connection->is_usable()) return connection;
  }
}

void DatabasePool::give_back(std::unique_ptr<Connection> connection) {
  if (connection && !connection->is_usable()) connection.reset();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --lent_;
    if (connection && static_cast<int>(idle_.size()) < size_) {
      idle_.push_back(std::move(connection));
    }
  }
  place_free_.notify_one();
}

Rows DatabasePool::run_once(const Statement& statement, const Parameters& parameters,
                            Attempt& attempt) {
  Lease lease(*this, attempt);
  try {
    lease.connection().prepare(statement);
    return lease.connection().run(statement, parameters, attempt.may_have_run);
  } catch (const DatabaseError& error) {
    if (error.sqlstate == kUnknownStatement) lease.connection().forget_prepared();
    throw;
  }
}

Rows DatabasePool::run(const Statement& statement, const Parameters& parameters) {
  Attempt attempt;
  bool in_doubt = false;
  for (int tries = 1;; ++tries) {
    attempt.may_have_run = false;
    try {
      return run_once(statement, parameters, attempt);
    } catch (const DatabaseError& error) {
      // These were rolled back as a whole, or never began.
      const bool undone = has_prefix(error.sqlstate, "40") || error.sqlstate == kUnknownStatement;
      if (!undone || tries == kMostTries) throw;
    } catch (DatabaseUnavailable& away) {
      in_doubt = in_doubt || attempt.may_have_run;
      away.in_doubt = in_doubt;
      if (!attempt.pooled || (attempt.may_have_run && !statement.repeatable)) throw;
      attempt.fresh = true;
    }
  }
}

void DatabasePool::prepare_all(const std::vector<const Statement*>& statements) {
  Attempt attempt;
  Lease lease(*this, attempt);
  for (const Statement* statement : statements)
    lease.connection().prepare(*statement);
}

} // namespace holdfast::gateway
