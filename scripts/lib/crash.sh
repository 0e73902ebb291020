# shellcheck shell=bash
# A load whose every acknowledgement is written down, and the check that a database still knows all of them. For
# scripts that kill servers under it. Needs common.sh, packages.sh and postgres.sh.

CRASH_DATABASE=holdfast_crash
# shellcheck disable=SC2034 # read by those who source this
kills=0 acknowledged=0 lost=0 doubled=0 broken=0

# durable_server DIR [SETTING...]: a server of its own that flushes every commit, with the staged extension.
durable_server() {
  STAGE=${HOLDFAST_STAGE:?} STAGE_BIN=${HOLDFAST_PG_BIN:?}
  export STAGE STAGE_BIN
  start_postgres "$1" "shared_preload_libraries = 'holdfast'" 'fsync = on' 'synchronous_commit = on' \
    'full_page_writes = on' 'restart_after_crash = on' "${@:2}"
}

make_crash_database() {
  sql -c "CREATE DATABASE $CRASH_DATABASE"
  sql -d "$CRASH_DATABASE" -c 'CREATE EXTENSION holdfast'
}

count_lines() { wc -l <"$1"; }

# start_load FOLDER SEED [CLIENTS]: clients that work until stop_load; returns once they do.
start_load() {
  LOAD_FOLDER=$1
  : >"$LOAD_FOLDER/load.log"
  touch "$LOAD_FOLDER/acknowledged"
  node "$HOLDFAST_ROOT/tests/model/load.mjs" --database "$CRASH_DATABASE" --acknowledged "$LOAD_FOLDER/acknowledged" \
    --clients "${3:-8}" --seed "$2" >"$LOAD_FOLDER/load.log" 2>&1 &
  LOAD_PID=$!
  at_exit end_load "$LOAD_PID"
  await_progress 50
}

end_load() { kill -KILL "$1" 2>/dev/null || true; }

# await_progress N: until N more settlements were acknowledged; fails when the load ended or nothing happens.
await_progress() {
  local goal deadline=$((SECONDS + 90))
  goal=$(($(count_lines "$LOAD_FOLDER/acknowledged") + $1))
  while [[ $(count_lines "$LOAD_FOLDER/acknowledged") -lt $goal ]]; do
    kill -0 "$LOAD_PID" 2>/dev/null || { cat "$LOAD_FOLDER/load.log" >&2 && die 'the load ended by itself'; }
    [[ $SECONDS -lt $deadline ]] || { cat "$LOAD_FOLDER/load.log" >&2 && die 'no settlement was acknowledged in 90 s'; }
    sleep 0.02
  done
}

# stop_load: every client ends once it knows what became of its last settlement.
stop_load() {
  kill -TERM "$LOAD_PID"
  wait "$LOAD_PID" || { cat "$LOAD_FOLDER/load.log" >&2 && die 'a client failed'; }
}

# kill_backend: SIGKILL to one session of the load; the server restarts all of them.
kill_backend() {
  local pid
  pid=$(sql -d postgres -c "SELECT pid FROM pg_stat_activity WHERE datname = '$CRASH_DATABASE'
    AND backend_type = 'client backend' ORDER BY random() LIMIT 1" 2>/dev/null || true)
  [[ -n $pid ]] || return 0
  kill -KILL "$pid" 2>/dev/null || return 0
  kills=$((kills + 1))
}

# verify_books FOLDER: each settlement that was acknowledged is in the ledger once, with its figures, and nothing else
# is; the books add up. Adds to lost, doubled, broken; acknowledged becomes the number of all so far.
verify_books() {
  local found deadline=$((SECONDS + 60))
  # The last one killed may still be in recovery.
  until sql -d "$CRASH_DATABASE" -c 'SELECT' >/dev/null 2>&1; do
    [[ $SECONDS -lt $deadline ]] || die 'the server did not come back'
    sleep 0.05
  done
  sql -d "$CRASH_DATABASE" -c 'CREATE TABLE IF NOT EXISTS public.told (answer jsonb)' -c 'TRUNCATE public.told' \
    -c "\\copy public.told FROM '$1/acknowledged'"
  found=$(sql -d "$CRASH_DATABASE" -F ' ' -c "
    WITH told AS (
      SELECT (answer ->> 'key')::uuid AS key, (answer ->> 'organization')::uuid AS organization_id,
             (answer ->> 'workflow')::uuid AS workflow_id, (answer ->> 'cost')::numeric AS cost FROM public.told)
    SELECT (SELECT count(*) FROM told),
      (SELECT count(*) FROM told t WHERE NOT EXISTS (SELECT FROM holdfast.ai_usage_ledger l
         WHERE l.organization_id = t.organization_id AND l.idempotency_key = t.key AND l.cost = t.cost
           AND l.workflow_id = t.workflow_id)),
      (SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM holdfast.ai_usage_ledger
         GROUP BY organization_id, idempotency_key) g)
      + (SELECT count(*) FROM holdfast.ai_usage_ledger l WHERE NOT EXISTS (SELECT FROM told t WHERE t.key = l.idempotency_key)),
      (SELECT count(*) FROM holdfast.check_invariants())")
  # shellcheck disable=SC2034 # acknowledged is for the script that sources this
  read -r acknowledged more_lost more_doubled more_broken <<<"$found"
  lost=$((lost + more_lost)) doubled=$((doubled + more_doubled)) broken=$((broken + more_broken))
  if [[ $more_broken -gt 0 ]]; then sql -d "$CRASH_DATABASE" -c 'SELECT * FROM holdfast.check_invariants() LIMIT 20' >&2; fi
}
