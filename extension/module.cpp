#include "extension/pg/postgres.hpp"

#include "extension/approval.hpp"
#include "extension/audit.hpp"
#include "extension/budget.hpp"
#include "extension/cache.hpp"
#include "extension/events.hpp"
#include "extension/ledger_entry.hpp"
#include "extension/organization.hpp"
#include "extension/organization_setting.hpp"
#include "extension/pg/settings.hpp"
#include "extension/pricing.hpp"
#include "extension/provider_health.hpp"
#include "extension/rate_limit.hpp"
#include "extension/routing.hpp"
#include "extension/run.hpp"
#include "extension/telemetry.hpp"
#include "extension/worker.hpp"
#include "extension/workflow.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

// The map of the extension: each line starts one domain that needs starting.
void _PG_init(void) {
  holdfast::organization::watch_keys();
  holdfast::pricing::start();
  holdfast::organization::start();
  holdfast::budget::start();
  holdfast::ledger::start();
  holdfast::workflow::start();
  holdfast::provider_health::start();
  holdfast::rate_limit::start();
  holdfast::telemetry::start();
  holdfast::routing::start();
  holdfast::approval::start();
  holdfast::audit::start();
  holdfast::events::start();
  holdfast::worker::start();
  holdfast::run::start();
  holdfast::cache::start();
  holdfast::pg::settings_complete();
}
