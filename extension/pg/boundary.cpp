#include "extension/pg/boundary.hpp"

namespace holdfast::pg {

namespace {

// Where errors of the server are kept until the boundary raises them again: the memory context in
// which the innermost running function was called.
MemoryContext boundary_context = nullptr;

// What to raise, in plain arrays: it is filled while exceptions are alive and raised when none is.
struct Failure {
  ErrorData* server_error = nullptr;
  int sqlstate = 0;
  std::array<char, 1024> message{};
  std::array<char, 4096> detail{};
  std::array<char, 1024> hint{};
};

template <std::size_t size>
void copy(std::array<char, size>& to, const char* from) noexcept {
  const std::size_t length = std::min(std::strlen(from), size - 1);
  std::memcpy(to.data(), from, length);
  to[length] = '\0';
}

void describe(Failure& failure, const Error& error) noexcept {
  const char* state = error.sqlstate().c_str();
  failure.sqlstate = error.sqlstate().size() == 5
                         ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])
                         : ERRCODE_INTERNAL_ERROR;
  copy(failure.message, error.message().c_str());
  if (error.detail().size() < failure.detail.size()) // a JSON object cut short would be no JSON
    copy(failure.detail, error.detail().c_str());
  copy(failure.hint, error.hint().c_str());
}

// Describes the exception in flight; the only place that catches everything.
void describe_current(Failure& failure) noexcept {
  try {
    throw;
  } catch (const ServerError& error) {
    failure.server_error = error.error();
  } catch (const Error& error) {
    describe(failure, error);
  } catch (const std::bad_alloc&) {
    failure.sqlstate = ERRCODE_OUT_OF_MEMORY;
    copy(failure.message, "out of memory");
  } catch (const std::exception& error) {
    failure.sqlstate = ERRCODE_INTERNAL_ERROR;
    copy(failure.message, error.what());
  } catch (...) {
    failure.sqlstate = ERRCODE_INTERNAL_ERROR;
    copy(failure.message, "an exception of unknown type reached the boundary");
  }
}

void clip_to_characters(char* text) {
  const int length = static_cast<int>(std::strlen(text));
  text[pg_mbcliplen(text, length, length)] = '\0';
}

[[noreturn]] void raise(Failure& failure) {
  if (failure.server_error != nullptr) ReThrowError(failure.server_error);
  clip_to_characters(failure.message.data());
  clip_to_characters(failure.hint.data());
  ereport(ERROR, (errcode(failure.sqlstate), errmsg_internal("%s", failure.message.data()),
                  failure.detail[0] != '\0' ? errdetail_internal("%s", failure.detail.data()) : 0,
                  failure.hint[0] != '\0' ? errhint("%s", failure.hint.data()) : 0));
  pg_unreachable();
}

// Writes what failed to the server's log; the process goes on.
void log_failure(const std::string& what, Failure& failure) {
  if (ErrorData* error = failure.server_error; error != nullptr) {
    failure.sqlstate = error->sqlerrcode;
    copy(failure.message, error->message != nullptr ? error->message : "");
    copy(failure.detail, error->detail != nullptr ? error->detail : "");
    copy(failure.hint, error->hint != nullptr ? error->hint : "");
    FreeErrorData(error);
  }
  clip_to_characters(failure.message.data());
  clip_to_characters(failure.detail.data());
  clip_to_characters(failure.hint.data());
  ereport(LOG, (errcode(failure.sqlstate),
                errmsg_internal("%s: %s", what.c_str(), failure.message.data()),
                failure.detail[0] != '\0' ? errdetail_internal("%s", failure.detail.data()) : 0,
                failure.hint[0] != '\0' ? errhint("%s", failure.hint.data()) : 0));
}

} // namespace

ErrorData* take_error() noexcept {
  MemoryContextSwitchTo(boundary_context);
  ErrorData* error = CopyErrorData();
  FlushErrorState();
  return error;
}

Datum run(FunctionCallInfo fcinfo, Body body) {
  Failure failure;
  MemoryContext outer = boundary_context;
  MemoryContext entry = CurrentMemoryContext;
  boundary_context = entry;
  try {
    const Datum result = body(fcinfo);
    boundary_context = outer;
    return result;
  } catch (...) {
    describe_current(failure);
  }
  boundary_context = outer;
  MemoryContextSwitchTo(entry);
  raise(failure);
}

namespace {

bool is_of_one_call(const ErrorData& error) {
  const int category = ERRCODE_TO_CATEGORY(error.sqlerrcode);
  const std::string_view state = unpack_sql_state(error.sqlerrcode);
  return state.substr(0, 2) == "PT" || error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
         category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_TRANSACTION_ROLLBACK ||
         category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
}

Error as_error(const ErrorData& error) {
  const auto text = [](const char* words) { return std::string(words == nullptr ? "" : words); };
  return Error(unpack_sql_state(error.sqlerrcode), text(error.message))
      .detail(text(error.detail))
      .hint(text(error.hint));
}

} // namespace

std::optional<Error> caught_apart(const std::function<void()>& work) {
  const MemoryContext context = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  std::optional<Error> failure;
  call([=] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
  });
  try {
    work();
  } catch (const Error& error) {
    failure = error;
  } catch (const ServerError& error) {
    if (!is_of_one_call(*error.error())) throw;
    failure = as_error(*error.error());
  }
  const bool failed = failure.has_value();
  call([=] {
    if (failed)
      RollbackAndReleaseCurrentSubTransaction();
    else
      ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  });
  return failure;
}

bool in_transaction(const std::string& what, const std::function<void()>& work) {
  Failure failure;
  boundary_context = TopMemoryContext;
  try {
    call([] {
      SetCurrentStatementStartTimestamp();
      StartTransactionCommand();
      PushActiveSnapshot(GetTransactionSnapshot());
    });
    work();
    call([] {
      PopActiveSnapshot();
      CommitTransactionCommand();
      static_cast<void>(pgstat_report_stat(true));
    });
    return true;
  } catch (...) {
    describe_current(failure);
  }
  MemoryContextSwitchTo(TopMemoryContext);
  AbortCurrentTransaction();
  log_failure(what, failure);
  return false;
}

void run_process(bool (*work)(Datum), Datum argument) {
  Failure failure;
  bool again = true;
  boundary_context = TopMemoryContext;
  try {
    again = work(argument);
  } catch (...) {
    describe_current(failure);
  }
  if (failure.sqlstate != 0 || failure.server_error != nullptr)
    log_failure(MyBgworkerEntry->bgw_name, failure);
  proc_exit(again ? 1 : 0);
}

} // namespace holdfast::pg
