#!/usr/bin/env bash
# A primary dies under load and its synchronous standby takes over: what was acknowledged is in the new primary's
# ledger, once, and the books add up. FAILOVER_ROUNDS says how often (2): killed by SIGKILL, stopped at once, in turn.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/packages.sh"
. "$HOLDFAST_ROOT/scripts/lib/postgres.sh"
. "$HOLDFAST_ROOT/scripts/lib/crash.sh"

on_server() { (cd / && as_server "$STAGE_BIN/$1" "${@:2}"); }

# make_standby PRIMARY_DIR DIR: a copy that streams; returns once the primary waits for it at every commit.
make_standby() {
  local primary=$1 standby=$2
  mkdir -p "$standby/socket"
  chmod 0700 "$standby/socket"
  if [[ $EUID -eq 0 ]]; then chown "$(server_user):" "$standby" "$standby/socket"; fi
  on_server pg_basebackup --pgdata="$standby/data" --host="$primary/socket" --username=postgres --checkpoint=fast \
    --wal-method=stream --write-recovery-conf --no-sync
  as_server sed -i "s#^unix_socket_directories.*#unix_socket_directories = '$standby/socket'#;
    /^synchronous_standby_names/d" "$standby/data/postgresql.conf"
  as_server sed -i "s#^primary_conninfo = '#&application_name=standby #" "$standby/data/postgresql.auto.conf"
  at_exit stop_postgres "$standby"
  on_server pg_ctl --pgdata="$standby/data" --log="$standby/server.log" --wait --silent start
  sql -h "$primary/socket" -d postgres -c "ALTER SYSTEM SET synchronous_standby_names = 'standby'" -c 'SELECT pg_reload_conf()' >/dev/null
  until [[ $(sql -h "$primary/socket" -d postgres -c "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1 ]]; do
    [[ $SECONDS -lt 120 ]] || die 'the standby did not become synchronous'
    sleep 0.05
  done
}

# The whole server at once: no process has time to send or to flush anything more.
kill_primary() {
  local pid children
  pid=$(head -1 "$1/data/postmaster.pid")
  mapfile -t children < <(pgrep -P "$pid")
  if [[ $2 == immediate ]]; then
    on_server pg_ctl --pgdata="$1/data" --mode=immediate --wait --silent stop
  else
    kill -KILL "$pid" "${children[@]}" || true
    rm -f "$1/data/postmaster.pid"
  fi
  kills=$((kills + 1))
}

fail_over_once() {
  local primary=$SCRATCH/p$1 standby=$SCRATCH/s$1 how=$2
  mkdir -p "$SCRATCH/load$1"
  durable_server "$primary" 'wal_level = replica' 'max_wal_senders = 5'
  make_crash_database
  make_standby "$primary" "$standby"
  export PGHOST=$primary/socket,$standby/socket
  start_load "$SCRATCH/load$1" "$((RANDOM * 32768 + RANDOM))"
  await_progress "$((RANDOM % 200 + 100))"
  kill_primary "$primary" "$how"
  on_server pg_ctl --pgdata="$standby/data" --wait --silent promote
  await_progress 50
  stop_load
  export PGHOST=$standby/socket
  verify_books "$SCRATCH/load$1"
  total=$((total + acknowledged))
  stop_postgres "$standby"
}

ensure_npm "$HOLDFAST_ROOT/tests/model"
new_scratch_dir
total=0
rounds=${FAILOVER_ROUNDS:-2}
for ((round = 1; round <= rounds; round++)); do
  fail_over_once "$round" "$([[ $((round % 2)) == 0 ]] && echo immediate || echo kill)"
done
printf '%d failovers, %d kills, %d settlements acknowledged, lost %d, doubled %d, invariants broken %d\n' \
  "$rounds" "$kills" "$total" "$lost" "$doubled" "$broken"
[[ $lost == 0 && $doubled == 0 && $broken == 0 && $total -gt $((rounds * 150)) ]]
