#include "extension/pg/process.hpp"

namespace holdfast::pg {

namespace {

constexpr int kRestartSeconds = 1;

BackgroundWorker describe_process(const ProcessKind& kind) {
  BackgroundWorker worker{};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  strlcpy(worker.bgw_name, kind.name, sizeof(worker.bgw_name));
  strlcpy(worker.bgw_type, kind.name, sizeof(worker.bgw_type));
  strlcpy(worker.bgw_library_name, "holdfast", sizeof(worker.bgw_library_name));
  strlcpy(worker.bgw_function_name, kind.function, sizeof(worker.bgw_function_name));
  return worker;
}

void set_for_process(const char* name, const char* value) {
  SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

// Settings of a user or a database are not made for this process.
void settle_in() {
  set_for_process("search_path", "pg_catalog, pg_temp");
  set_for_process("lock_timeout", "5s");
  set_for_process("default_transaction_isolation", "read committed");
  set_for_process("default_transaction_read_only", "off");
  set_for_process("synchronous_commit", "local");
}

} // namespace

void log_line(const std::string& line, const char* hint) {
  const char* text = line.c_str();
  call([=] {
    ereport(LOG, (errmsg_internal("%s", text), hint != nullptr ? errhint("%s", hint) : 0));
  });
}

void request_process(const ProcessKind& kind) {
  BackgroundWorker worker = describe_process(kind);
  worker.bgw_restart_time = kRestartSeconds;
  RegisterBackgroundWorker(&worker);
}

bool ChildProcess::start(const ProcessKind& kind, Oid argument) {
  BackgroundWorker worker = describe_process(kind);
  worker.bgw_main_arg = ObjectIdGetDatum(argument);
  BackgroundWorker* wanted = &worker;
  BackgroundWorkerHandle* before = handle_;
  handle_ = call([=] {
    MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
    if (before != nullptr) pfree(before);
    BackgroundWorkerHandle* made = nullptr;
    if (!RegisterDynamicBackgroundWorker(wanted, &made)) made = nullptr;
    MemoryContextSwitchTo(context);
    return made;
  });
  return handle_ != nullptr;
}

bool ChildProcess::is_running() const {
  if (handle_ == nullptr) return false;
  BackgroundWorkerHandle* handle = handle_;
  return call([=] {
    pid_t pid = 0;
    const BgwHandleStatus status = GetBackgroundWorkerPid(handle, &pid);
    return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
  });
}

void begin_process() {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
}

void connect_to_cluster() {
  call([] {
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    settle_in();
  });
}

void connect_to_database(Oid database) {
  call([=] {
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    settle_in();
  });
}

bool wait_ms(long milliseconds) {
  return call([=] {
    const int events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
    static_cast<void>(WaitLatch(MyLatch, events, milliseconds, PG_WAIT_EXTENSION));
    ResetLatch(MyLatch);
    if (ProcDiePending) return false;
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
    return true;
  });
}

std::map<std::string, Oid> list_databases() {
  std::map<std::string, Oid> databases;
  // A plain scan, as a process without a database cannot count on the index being known to it.
  const Relation table = call([] { return table_open(DatabaseRelationId, AccessShareLock); });
  const TableScanDesc scan = call([=] { return table_beginscan_catalog(table, 0, nullptr); });
  if (table == nullptr || scan == nullptr) return databases; // call() has thrown before
  for (;;) {
    const HeapTuple tuple = call([=] { return heap_getnext(scan, ForwardScanDirection); });
    if (tuple == nullptr) break;
    const auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
    if (row->datallowconn) databases.emplace(NameStr(row->datname), row->oid);
  }
  call([=] {
    table_endscan(scan);
    table_close(table, AccessShareLock);
  });
  return databases;
}

void show_activity(const char* activity) {
  call([=] {
    SetCurrentStatementStartTimestamp();
    pgstat_report_activity(activity != nullptr ? STATE_RUNNING : STATE_IDLE, activity);
  });
}

} // namespace holdfast::pg
