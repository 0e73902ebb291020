#!/usr/bin/env bash
# Rate limits under 64 clients at once: exact to one request on every layer, in any sliding window; remembered over a
# restart, and after a crash as far as was saved.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/packages.sh"
. "$HOLDFAST_ROOT/scripts/lib/postgres.sh"

STAGE=${HOLDFAST_STAGE:?} STAGE_BIN=${HOLDFAST_PG_BIN:?}
export STAGE STAGE_BIN PGOPTIONS='-c client_min_messages=warning'
org=4a000000-0000-4000-8000-000000000001
clients=64

expect() {
  [[ $2 == "$3" ]] || die "$1: $2, not $3"
  printf 'ok: %s: %s\n' "$1" "$2"
}

# at_once TRANSACTIONS SQL [PGBENCH_OPTION...]
at_once() {
  printf '%s\n' "$2" >"$SCRATCH/at_once.sql"
  "$STAGE_BIN/pgbench" -n -c "$clients" -j 2 -t "$1" -f "$SCRATCH/at_once.sql" "${@:3}" >"$SCRATCH/pgbench.log" 2>&1 ||
    { cat "$SCRATCH/pgbench.log" && exit 1; }
}

on_server() { (cd / && as_server "$STAGE_BIN/pg_ctl" --pgdata="$SCRATCH/pg/data" --wait --silent "$@"); }
# How many of so many requests pass, one after the other.
admitted_of() { sql -c "SELECT count(*) FILTER (WHERE c.allowed) FROM generate_series(1, $2) n, LATERAL holdfast.check_rate_limit('$org', '$1', p_tokens => n) c"; }

new_scratch_dir
start_postgres "$SCRATCH/pg" "shared_preload_libraries = 'holdfast'" 'fsync = off' 'restart_after_crash = on' \
  'holdfast.rate_limit_save_interval_ms = 100' 'holdfast.rate_limit_cooldown_ms = 0'
sql -c 'CREATE EXTENSION holdfast' -c 'CREATE TABLE admissions (what text, at timestamptz)'

# 640 requests each, twice through new connections: the limit and not one more.
asks="INSERT INTO admissions SELECT '%s', clock_timestamp() FROM holdfast.check_rate_limit('$org', %s) WHERE allowed;"
# shellcheck disable=SC2059 # the format is above
{
  at_once 10 "$(printf "$asks" user "'ada'")"
  at_once 3 "$(printf "$asks" user "'ada'")" --connect
  expect 'of 832 of one user' "$(sql -c "SELECT count(*) FROM admissions WHERE what = 'user'")" 100
  at_once 10 "$(printf "$asks" ip "NULL, '192.0.2.7'")"
  expect 'of 640 of one address' "$(sql -c "SELECT count(*) FROM admissions WHERE what = 'ip'")" 300
  at_once 10 "$(printf "$asks" key "NULL, NULL, '4a000000-0000-4000-8000-0000000000c1'")"
  expect 'of 640 of one key' "$(sql -c "SELECT count(*) FROM admissions WHERE what = 'key'")" 500
  at_once 10 "$(printf "$asks" workflow "'bob', p_starts_run => true")"
  expect 'of 640 runs of one user' "$(sql -c "SELECT count(*) FROM admissions WHERE what = 'workflow'")" 20
  at_once 20 "$(printf "$asks" provider "NULL, NULL, NULL, 'acme'")"
  expect 'of 1280 of one provider' "$(sql -c "SELECT count(*) FROM admissions WHERE what = 'provider'")" 1000
  at_once 60 "$(printf "$asks" global "NULL")"
  expect 'of all' "$(sql -c 'SELECT count(*) FROM admissions')" 5000
}
expect 'each refusal is a row' "$(sql -c "SELECT count(*) FROM holdfast.ai_audit_log WHERE event = 'limited'")" \
  "$((832 + 3 * 640 + 1280 + 3840 - 5000))"

# Windows that slide under load: between two admissions that lie `limit` apart there is a whole window.
sql -c "SELECT holdfast.set_rate_limit('global', NULL), holdfast.set_rate_limit('user', 50, p_window => '1 second')" >/dev/null
# shellcheck disable=SC2059 # the format is above
printf "$asks" slide "'sid'" >"$SCRATCH/slide.sql"
"$STAGE_BIN/pgbench" -n -c "$clients" -j 2 -T 4 -f "$SCRATCH/slide.sql" >"$SCRATCH/pgbench.log" 2>&1 || { cat "$SCRATCH/pgbench.log" && exit 1; }
slide=$(sql -F ' ' -c "SELECT count(*) >= 200, count(*) FILTER (WHERE round(EXTRACT(epoch FROM later - at) * 1000) < 800) FROM
  (SELECT at, lead(at, 50) OVER (ORDER BY at) AS later FROM admissions WHERE what = 'slide') a")
expect 'four windows, and spans of less than one that hold 51' "$slide" 't 0'
sql -c "SELECT holdfast.reset_rate_limit('user')" >/dev/null

# A restart in peace forgets nothing; the clock of the limits goes on.
expect 'before the restart' "$(admitted_of dora 60)" 60
on_server --mode=fast stop
on_server --log="$SCRATCH/pg/server.log" start
expect 'after the restart' "$(admitted_of dora 60)" 40
expect 'then none' "$(admitted_of dora 10)" 0

# A crash forgets what was not saved yet; here all was. A session dies in the midst of decisions.
expect 'before the crash' "$(admitted_of eve 70)" 70
saved=$SCRATCH/pg/data/pg_stat/holdfast_limits.stat
touch "$SCRATCH/then"
admitted_of gil 1 >/dev/null
is_saved() { [[ ! $saved -nt $SCRATCH/then ]] || printf 't\n'; }
await 'the counts are saved' is_saved
# shellcheck disable=SC2059 # the format is above
printf "$asks" crash "'finn'" >"$SCRATCH/slide.sql"
"$STAGE_BIN/pgbench" -n -c "$clients" -j 2 -T 60 -f "$SCRATCH/slide.sql" >"$SCRATCH/pgbench.log" 2>&1 &
load=$!
await 'a load of decisions' sql -c "SELECT count(*) >= $clients FROM pg_stat_activity WHERE query LIKE '%check_rate_limit%'"
kill -KILL "$(sql -c "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT%check_rate_limit%' LIMIT 1")"
wait "$load" || true
await 'the server is back' sql -c "SELECT true"
expect 'after the crash' "$(admitted_of eve 70)" 30
expect 'of all others it knows what was saved' "$([[ $(admitted_of finn 200) -le 100 ]] && echo yes)" yes

# A file that is damaged is no reason not to start.
on_server --mode=fast stop
printf 'x' | dd of="$saved" bs=1 seek=200 conv=notrunc status=none
on_server --log="$SCRATCH/pg/server.log" start
expect 'after a damaged file' "$(admitted_of eve 70)" 70

stop_postgres "$SCRATCH/pg"
start_postgres "$SCRATCH/plain" 'fsync = off'
sql -c 'CREATE EXTENSION holdfast'
refusal=$(sql -c '\set VERBOSITY verbose' -c "SELECT holdfast.check_rate_limit('$org')" 2>&1 || true)
[[ $refusal == *55000* && $refusal == *'HINT:  Add holdfast to shared_preload_libraries'* ]] || die "not preloaded: $refusal"
echo 'ok: without preloading it says what to do'
