#!/usr/bin/env bash
# Servers die under load: sessions by SIGKILL, the whole by an immediate stop. What was acknowledged is in the ledger,
# once, and the books add up. CRASH_ROUNDS says how often (5).
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/packages.sh"
. "$HOLDFAST_ROOT/scripts/lib/postgres.sh"
. "$HOLDFAST_ROOT/scripts/lib/crash.sh"

restart_after_immediate_stop() {
  (cd / && as_server "$STAGE_BIN/pg_ctl" --pgdata="$SCRATCH/pg/data" --mode=immediate --wait --silent stop)
  (cd / && as_server "$STAGE_BIN/pg_ctl" --pgdata="$SCRATCH/pg/data" --log="$SCRATCH/pg/server.log" --wait --silent start)
  kills=$((kills + 1))
}

ensure_npm "$HOLDFAST_ROOT/tests/model"
new_scratch_dir
durable_server "$SCRATCH/pg"
make_crash_database
rounds=${CRASH_ROUNDS:-5}
for ((round = 1; round <= rounds; round++)); do
  start_load "$SCRATCH" "$((RANDOM * 32768 + RANDOM))"
  for _ in 1 2; do
    kill_backend
    await_progress "$((RANDOM % 60 + 1))"
  done
  restart_after_immediate_stop
  await_progress "$((RANDOM % 60 + 1))"
  kill_backend
  stop_load
  verify_books "$SCRATCH"
  [[ $lost == 0 && $doubled == 0 && $broken == 0 ]] || break
done
printf '%d rounds, %d kills, %d settlements acknowledged, lost %d, doubled %d, invariants broken %d\n' \
  "$((round > rounds ? rounds : round))" "$kills" "$acknowledged" "$lost" "$doubled" "$broken"
[[ $lost == 0 && $doubled == 0 && $broken == 0 && $kills -ge $rounds && $acknowledged -gt $((rounds * 100)) ]]
