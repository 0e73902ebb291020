// The launcher lives as long as the server. In every round it starts one short-lived process for
// each database it serves, which runs the duties of holdfast.maintenance_duties() and ends: so no
// database is kept from being dropped, and what one round spoils the next does not inherit.
#include "extension/worker.hpp"

#include "extension/pg/process.hpp"
#include "extension/pg/settings.hpp"
#include "extension/pg/shared_area.hpp"
#include "extension/pg/spi.hpp"
#include "extension/rate_limit.hpp"

namespace holdfast::worker {

namespace {

char* database_names = nullptr;
int interval_ms = 0;

// A duty that has more to do than it does at once is repeated so often in one round.
constexpr int kMostRepeats = 100;
constexpr std::int64_t kUsPerMs = 1000;

constexpr pg::ProcessKind kLauncher{"holdfast launcher", "holdfast_launcher_main"};
constexpr pg::ProcessKind kMaintenance{"holdfast maintenance", "holdfast_maintenance_main"};

// The version of the extension in this database may be older than the library.
pg::Statement has_duties("SELECT to_regprocedure('holdfast.maintenance_duties()') IS NOT NULL");
pg::Statement take_turn("SELECT pg_try_advisory_lock(holdfast.maintenance_lock())");
pg::Statement list_duties("SELECT duty, most FROM holdfast.maintenance_duties() ORDER BY place");
constexpr Oid kDutyTypes[] = {TEXTOID};
pg::Statement run_duty("SELECT holdfast.run_duty($1)", kDutyTypes);

// A database that the settings name.
struct Served {
  pg::ChildProcess process;
  bool is_missing = false; // and the log says so
};
using Databases = std::map<std::string, Served>;

// Takes in what the setting names now; what it names no more is forgotten.
void read_setting(Databases& served) {
  const std::optional<std::vector<std::string>> names = pg::names_in(database_names);
  if (!names) {
    pg::log_line("holdfast.database is no list of database names",
                 "Separate names by commas, and put double quotes round those with capitals.");
    return;
  }
  Databases now;
  for (const std::string& name : *names)
    now[name] = served[name];
  served = std::move(now);
}

void serve(const std::string& name, Served& database, const std::map<std::string, Oid>& there) {
  if (database.process.is_running()) return;
  const auto found = there.find(name);
  const bool was_missing = database.is_missing;
  database.is_missing = found == there.end();
  if (database.is_missing && !was_missing)
    pg::log_line("holdfast.database names \"" + name + "\", which does not exist yet");
  if (!database.is_missing && !database.process.start(kMaintenance, found->second))
    pg::log_line("no process is free for the maintenance of \"" + name + "\"",
                 "Raise max_worker_processes.");
}

// One launcher's life, until it is told to end.
void launch_rounds() {
  Databases served;
  std::int64_t next_round = 0;
  do {
    const std::int64_t now = pg::steady_us();
    if (now >= next_round) {
      next_round = now + interval_ms * kUsPerMs;
      pg::in_transaction(kLauncher.name, [&] {
        read_setting(served);
        const std::map<std::string, Oid> there = pg::list_databases();
        for (auto& [name, database] : served)
          serve(name, database, there);
      });
    }
    rate_limit::save_if_due();
  } while (pg::wait_ms(std::min(interval_ms, rate_limit::save_interval_ms())));
}

struct Duty {
  std::string name;
  std::int64_t most = 0; // what it does at once; after so much there may be more
};

// The duties of this database; none when the extension is not there or another process is at it.
std::vector<Duty> duties_here() {
  std::vector<Duty> duties;
  pg::in_transaction(kMaintenance.name, [&] {
    pg::Spi spi;
    if (!has_duties.run()[0].boolean(1) || !take_turn.run()[0].boolean(1)) return;
    const pg::Rows rows = list_duties.run();
    for (std::uint64_t i = 0; i < rows.size(); ++i)
      duties.push_back({rows[i].text(1), rows[i].bigint(2)});
  });
  return duties;
}

// Each duty fails alone: it has its own transactions, and the next one follows.
void perform(const Duty& duty) {
  pg::show_activity(duty.name.c_str());
  for (int i = 0; i < kMostRepeats; ++i) {
    std::int64_t done = 0;
    const bool went_well = pg::in_transaction("holdfast duty " + duty.name, [&] {
      pg::Spi spi;
      done = run_duty.run(pg::Parameters().text(duty.name))[0].bigint(1);
    });
    if (!went_well || done < duty.most) return;
  }
}

} // namespace

void start() {
  pg::define({"holdfast.database",
              "Databases, separated by commas, whose maintenance the server does by itself.",
              &database_names, ""});
  pg::define({"holdfast.maintenance_interval_ms",
              "Time between two rounds of maintenance of a database.", &interval_ms, 10'000, 100,
              3'600'000, pg::Changes::by_reload, pg::Unit::milliseconds});
  if (pg::is_preloading()) pg::request_process(kLauncher);
}

} // namespace holdfast::worker

using namespace holdfast;

HOLDFAST_PROCESS(holdfast_launcher_main) {
  static_cast<void>(argument);
  pg::begin_process();
  pg::connect_to_cluster();
  worker::launch_rounds();
  return true;
}

HOLDFAST_PROCESS(holdfast_maintenance_main) {
  pg::begin_process();
  pg::connect_to_database(DatumGetObjectId(argument));
  for (const worker::Duty& duty : worker::duties_here())
    worker::perform(duty);
  return false;
}
