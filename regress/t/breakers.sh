#!/usr/bin/env bash
# Circuit breakers under 16 clients at once: not one report is lost, half-open lets exactly three through, a trial whose
# caller died makes room, and after a crash of the server they work again.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/packages.sh"
. "$HOLDFAST_ROOT/scripts/lib/postgres.sh"

STAGE=${HOLDFAST_STAGE:?} STAGE_BIN=${HOLDFAST_PG_BIN:?}
export STAGE STAGE_BIN PGOPTIONS='-c client_min_messages=warning'
clients=16 each=250

expect() {
  [[ $2 == "$3" ]] || die "$1: $2, not $3"
  printf 'ok: %s: %s\n' "$1" "$2"
}

# at_once TRANSACTIONS SQL
at_once() {
  printf '%s\n' "$2" >"$SCRATCH/at_once.sql"
  "$STAGE_BIN/pgbench" -n -c "$clients" -j 2 -t "$1" -f "$SCRATCH/at_once.sql" >"$SCRATCH/pgbench.log" 2>&1 ||
    { cat "$SCRATCH/pgbench.log" && exit 1; }
}
is_half_open="SELECT state = 'half_open' FROM holdfast.breakers()"

new_scratch_dir
start_postgres "$SCRATCH/pg" "shared_preload_libraries = 'holdfast'" 'fsync = off' 'restart_after_crash = on' \
  "holdfast.breaker_minimum_calls = $((clients * each))" 'holdfast.breaker_window_ms = 600000' 'holdfast.breaker_open_ms = 500' \
  'holdfast.breaker_trial_patience_ms = 3000'
sql -c 'CREATE EXTENSION holdfast' -c 'CREATE TABLE admissions (round integer, trial bigint)'

# All but 16 of the reports that it takes, then 15: still closed. The last one opens it, once.
at_once $((each - 1)) "SELECT holdfast.breaker_report('acme', false, 10);"
sql -c "SELECT count(holdfast.breaker_report('acme', false, 10)) FROM generate_series(1, 15)" >/dev/null
expect 'one report before the last' "$(sql -F ' ' -c 'SELECT state, calls, failure_rate FROM holdfast.breakers()')" \
  "closed $((clients * each - 1)) 1"
at_once 1 "SELECT holdfast.breaker_report('acme', false, 10);"
expect 'after 16 last ones' "$(sql -F ' ' -c 'SELECT times_opened FROM holdfast.breakers()')" 1

await 'half-open after its time' sql -c "$is_half_open"
at_once 20 "INSERT INTO admissions SELECT 1, trial FROM holdfast.breaker_admit('acme') WHERE admitted;"
expect 'let through of 320' "$(sql -c 'SELECT count(trial) FROM admissions')" 3

# Nobody reports them, as when their gateways died: three others take their place, and close it.
await 'the lost trials make room' sql -c 'SELECT trials_out = 0 FROM holdfast.breakers()'
at_once 20 "INSERT INTO admissions SELECT 2, trial FROM holdfast.breaker_admit('acme') WHERE admitted;"
expect 'let through again' "$(sql -c 'SELECT count(trial) FROM admissions WHERE round = 2')" 3
sql -c "SELECT holdfast.breaker_report('acme', true, 10, trial) FROM admissions WHERE round = 2 LIMIT 2" >/dev/null
expect 'after two good trials' "$(sql -c 'SELECT state FROM holdfast.breakers()')" half_open
sql -c "SELECT holdfast.breaker_report('acme', true, 10, trial) FROM admissions WHERE round = 2" >/dev/null
expect 'after three' "$(sql -c 'SELECT state FROM holdfast.breakers()')" closed

# A session is killed in the midst of reports: the server starts anew, forgets, and works.
sql -c "SELECT count(holdfast.breaker_report('acme', false, 10)) FROM generate_series(1, $((clients * each)))" >/dev/null
printf "SELECT holdfast.breaker_report('acme', false, 10);\n" >"$SCRATCH/report.sql"
"$STAGE_BIN/pgbench" -n -c "$clients" -T 60 -f "$SCRATCH/report.sql" >"$SCRATCH/pgbench.log" 2>&1 &
load=$!
await 'a load of reports' sql -c "SELECT count(*) >= $clients FROM pg_stat_activity WHERE query LIKE 'SELECT holdfast.breaker_report%'"
kill -KILL "$(sql -c "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT holdfast.breaker_report%' AND pid <> pg_backend_pid() LIMIT 1")"
wait "$load" || true
await 'forgotten after a crash' sql -c 'SELECT count(*) = 0 FROM holdfast.breakers()'
sql -c "SELECT count(holdfast.breaker_report('acme', false, 10)) FROM generate_series(1, $((clients * each)))" >/dev/null
expect 'and opens again' "$(sql -c 'SELECT times_opened FROM holdfast.breakers()')" 1

# Where the library is not preloaded there is nothing to share.
stop_postgres "$SCRATCH/pg"
start_postgres "$SCRATCH/plain" 'fsync = off'
sql -c 'CREATE EXTENSION holdfast'
refusal=$(sql -c '\set VERBOSITY verbose' -c "SELECT holdfast.breaker_admit('acme')" 2>&1 || true)
[[ $refusal == *55000* && $refusal == *'HINT:  Add holdfast to shared_preload_libraries'* ]] || die "not preloaded: $refusal"
echo 'ok: without preloading it says what to do'
