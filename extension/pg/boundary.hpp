#pragma once

#include "extension/core/error.hpp"
#include "extension/pg/postgres.hpp"

namespace holdfast::pg {

using Body = Datum (*)(FunctionCallInfo);

// Runs the body of an SQL-callable function. Whatever it throws becomes a PostgreSQL error after
// every C++ object of the call is destroyed: holdfast::Error with its SQLSTATE, detail and hint;
// ServerError exactly as the server raised it; bad_alloc as 53200; anything else as XX000.
Datum run(FunctionCallInfo fcinfo, Body body);

// An error that the server raised, carried through C++ frames as an exception. It must reach the
// boundary: the transaction it belongs to is to be aborted.
class ServerError : public std::exception {
public:
  explicit ServerError(ErrorData* error) noexcept : error_(error) {}
  const char* what() const noexcept override { return error_->message; }
  ErrorData* error() const noexcept { return error_; }

private:
  ErrorData* error_; // in the memory context of the boundary, which outlives the exception
};

// Makes a copy of the server's current error, clears it, and returns it for ServerError.
ErrorData* take_error() noexcept;

// Calls the server. A longjmp out of `work` is turned into a ServerError. `work` keeps only plain
// data on its stack and throws nothing, for both would be lost under the longjmp.
template <class Work>
auto call(Work work) -> decltype(work()) {
  using Result = decltype(work());
  ErrorData* volatile error = nullptr;
  if constexpr (std::is_void_v<Result>) {
    PG_TRY();
    { work(); }
    PG_CATCH();
    { error = take_error(); }
    PG_END_TRY();
    if (error != nullptr) throw ServerError(error);
  } else {
    static_assert(std::is_trivially_copyable_v<Result>);
    volatile Result result{};
    PG_TRY();
    { const_cast<Result&>(result) = work(); }
    PG_CATCH();
    { error = take_error(); }
    PG_END_TRY();
    if (error != nullptr) throw ServerError(error);
    return const_cast<Result&>(result);
  }
}

// Runs `work` and returns the Error that it throws, if any. Errors of the server pass through:
// after one the transaction cannot go on.
template <class Work>
std::optional<Error> caught(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// The same in a subtransaction: what throws has done nothing, and the transaction can go on. Errors
// of the server that tell of one call alone (bad data, a constraint, a conflict with another
// session) are caught too.
std::optional<Error> caught_apart(const std::function<void()>& work);

// For processes without a caller. Runs `work` in a transaction of its own; what it throws ends the
// transaction and goes to the server's log as "<what>: <message>", and the process lives on: false.
bool in_transaction(const std::string& what, const std::function<void()>& work);

// Runs the whole of such a process and ends it, with status 0, or 1 when `work` says so or throws:
// the server starts a requested process again after that.
[[noreturn]] void run_process(bool (*work)(Datum), Datum argument);

} // namespace holdfast::pg

// Defines the main function of a process; what follows is its body, free to throw. It returns
// whether the process is to be started again.
#define HOLDFAST_PROCESS(name)                                                                     \
  static bool name##_body(Datum argument);                                                         \
  extern "C" {                                                                                     \
  PGDLLEXPORT void name(Datum argument) {                                                          \
    holdfast::pg::run_process(name##_body, argument);                                              \
  }                                                                                                \
  }                                                                                                \
  static bool name##_body(Datum argument)

// Defines the SQL-callable function `name`; what follows is its body, free to throw.
#define HOLDFAST_FUNCTION(name)                                                                    \
  static Datum name##_body(FunctionCallInfo fcinfo);                                               \
  extern "C" {                                                                                     \
  PG_FUNCTION_INFO_V1(name);                                                                       \
  PGDLLEXPORT Datum name(PG_FUNCTION_ARGS) {                                                       \
    return holdfast::pg::run(fcinfo, name##_body);                                                 \
  }                                                                                                \
  }                                                                                                \
  static Datum name##_body(FunctionCallInfo fcinfo)
