#pragma once

#include "extension/pg/boundary.hpp"

// Processes of the server's own that the extension runs in, without a caller.
namespace holdfast::pg {

// Writes a line to the server's log.
void log_line(const std::string& line, const char* hint = nullptr);

// A kind of process: its name in pg_stat_activity, and the function of this library it runs.
struct ProcessKind {
  const char* name;
  const char* function;
};

// Has the server start one such process once it can write, and again whenever it ends. Only while
// the server loads shared_preload_libraries.
void request_process(const ProcessKind& kind);

// A process that this one starts and that is not started again when it ends.
class ChildProcess {
public:
  ChildProcess() = default;

  // False when the server has no room for one more (max_worker_processes).
  bool start(const ProcessKind& kind, Oid argument);
  bool is_running() const;

private:
  BackgroundWorkerHandle* handle_ =
      nullptr; // in the server's memory, as long as this process lives
};

// What a process calls first. SIGHUP reloads the settings, SIGTERM ends it.
void begin_process();
// Connects to the catalogs that all databases share, or to one database as its superuser.
void connect_to_cluster();
void connect_to_database(Oid database);

// Waits until the time is over or a signal came; false when the process is to end.
bool wait_ms(long milliseconds);

// The databases that can be connected to. Needs a transaction.
std::map<std::string, Oid> list_databases();

// Tells pg_stat_activity what the process does.
void show_activity(const char* activity);

} // namespace holdfast::pg
