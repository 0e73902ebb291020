#!/usr/bin/env bash
# The server does its maintenance by itself: holds expire without a hand, in databases that come and go, when a duty
# fails, and after its processes were killed.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/packages.sh"
. "$HOLDFAST_ROOT/scripts/lib/postgres.sh"

STAGE=${HOLDFAST_STAGE:?} STAGE_BIN=${HOLDFAST_PG_BIN:?}
export STAGE STAGE_BIN PGOPTIONS='-c client_min_messages=warning'
org=a1000000-0000-4000-8000-000000000001

# expect_expiry DATABASE WHEN: a hold that runs out is ended by nobody's call.
expect_expiry() {
  local hold
  hold=$(sql -d "$1" -c "SELECT hold_id FROM holdfast.hold_workflow_cost(NULL, '$org', 0.5, p_ttl => '1 millisecond')")
  await "$2" sql -d "$1" -c "SELECT status = 'expired' FROM holdfast.holds WHERE hold_id = '$hold'"
}

pid_of() { sql -d postgres -c "SELECT pid FROM pg_stat_activity WHERE backend_type = '$1'"; }
launcher_other_than() { sql -d postgres -c "SELECT pid <> $1 FROM pg_stat_activity WHERE backend_type = 'holdfast launcher'"; }
log_has() { if grep -q "$1" "$SCRATCH/pg/server.log"; then printf 't\n'; fi; }

new_scratch_dir
start_postgres "$SCRATCH/pg" "shared_preload_libraries = 'holdfast'" 'fsync = off' 'restart_after_crash = on' \
  "holdfast.database = 'app'" 'holdfast.maintenance_interval_ms = 100'

await 'a database that does not exist is told' log_has 'names "app", which does not exist yet'
sql -d postgres -c 'CREATE DATABASE app'
sql -d app -c 'CREATE EXTENSION holdfast'
expect_expiry app 'a hold expires without a hand'
[[ $(sql -d app -c 'SELECT count(*) FROM holdfast.ledger_seals') == 0 ]]
sql -d app -c "SELECT cost FROM holdfast.record_usage_and_increment(NULL, '$org', 'm', 1, 1, 0.5)" >/dev/null
await 'the ledger is sealed without a hand' sql -d app -c 'SELECT sum(entries) = 1 FROM holdfast.ledger_seals'

pid=$(pid_of 'holdfast launcher')
sql -d postgres -c "SELECT pg_terminate_backend($pid)" >/dev/null
await 'a launcher that was ended comes back' launcher_other_than "$pid"
expect_expiry app 'and works'

pid=$(pid_of 'holdfast launcher')
kill -KILL "$pid"
await 'a launcher that was killed comes back' launcher_other_than "$pid"
expect_expiry app 'and works after the crash'

sql -d app -c "CREATE OR REPLACE FUNCTION holdfast.seal_ledger(p_most integer DEFAULT 100000) RETURNS integer LANGUAGE plpgsql AS
  \$\$ BEGIN RAISE EXCEPTION 'the wax is empty' USING HINT = 'Buy wax.'; END \$\$"
await 'a duty that fails is told by name' log_has 'holdfast duty seal_ledger: the wax is empty'
expect_expiry app 'and keeps the others from nothing'
await 'run_maintenance() says the same' sql -d app -c "SELECT error = 'the wax is empty' FROM holdfast.run_maintenance() WHERE duty = 'seal_ledger'"

sql -d app -c 'DROP EXTENSION holdfast CASCADE'
sql -d app -c 'CREATE EXTENSION holdfast'
expect_expiry app 'the extension is dropped and made again'

sql -d postgres -c 'CREATE DATABASE "Other one"'
sql -d 'Other one' -c 'CREATE EXTENSION holdfast'
sql -d postgres -c "ALTER SYSTEM SET holdfast.database = 'app, \"Other one\"'" -c 'SELECT pg_reload_conf()' >/dev/null
expect_expiry 'Other one' 'a database that the settings name since a reload'
expect_expiry app 'beside the first'

# No round lasts, so a database that is served can be dropped.
sql -d postgres -c 'DROP DATABASE "Other one"'
expect_expiry app 'one was dropped, the other is served'

# While one session does the maintenance, another finds nothing to do.
sql -d app -c 'SELECT pg_advisory_lock(holdfast.maintenance_lock())' -c '\! psql -X -A -t -d app -c "SELECT count(*) FROM holdfast.run_maintenance()"' |
  grep -qx 0

# Without the library among those preloaded there are no processes, and all else works.
stop_postgres "$SCRATCH/pg"
start_postgres "$SCRATCH/plain" 'fsync = off' "holdfast.database = 'postgres'"
sql -d postgres -c 'CREATE EXTENSION holdfast'
[[ $(sql -d postgres -c "SELECT granted FROM holdfast.hold_workflow_cost(NULL, '$org', 0.5, p_ttl => '1 millisecond')") == t ]]
[[ $(pid_of 'holdfast launcher') == '' ]]
sql -d postgres -F ' ' -c 'SELECT duty, done, error IS NULL FROM holdfast.run_maintenance()' | grep -qx 'expire_holds 1 t'
echo 'ok: without preloading, run_maintenance() does it'
