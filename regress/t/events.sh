#!/usr/bin/env bash
# What happens is told on holdfast_events to whoever listens, where the operator turned it on, and only when it commits.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
. "$HOLDFAST_ROOT/scripts/lib/postgres.sh"

STAGE=${HOLDFAST_STAGE:?} STAGE_BIN=${HOLDFAST_PG_BIN:?}
export STAGE STAGE_BIN
new_scratch_dir
start_postgres "$SCRATCH/pg" "shared_preload_libraries = 'holdfast'" 'fsync = off'

expect() {
  [[ $2 == "$3" ]] || { printf '%s:\n%s\nis not\n%s\n' "$1" "$2" "$3" >&2 && exit 1; }
  printf 'ok: %s\n' "$1"
}
org=e7000000-0000-4000-8000-000000000001
sql -c 'CREATE EXTENSION holdfast'
workflow=$(sql -c "SELECT holdfast.create_workflow('$org')")

# The payloads that a session gets that listens and does this itself, one a line, ids and figures left out.
heard() {
  sql -c 'LISTEN holdfast_events' -c "$1" | sed -n 's/.*with payload "\(.*\)" received from server process.*/\1/p' |
    jq -c '{event, organizationId, from, to, scope, layer, alert, provider, model, costUSD} | del(..|nulls)'
}
settle="SELECT holdfast.record_usage_and_increment('$workflow', '$org', 'm', 1, 1, 0.25, p_provider => 'acme')"
deny="SELECT holdfast.hold_workflow_cost('$workflow', '$org', 7)"
move="SELECT holdfast.advance_workflow('$workflow', '$org', 'CREATED', 'ICP_PENDING')"
open="SELECT holdfast.breaker_report('acme', false, 1) FROM generate_series(1, 30)"

expect 'as shipped nothing is told' "$(heard "$settle")" ''
turn_on() {
  sql -c "ALTER SYSTEM SET holdfast.events = '$1'" -c 'SELECT pg_reload_conf()' >/dev/null
  await "the events are $1" sql -c "SELECT current_setting('holdfast.events') = '$1'"
}
turn_on 'settlement'
expect 'what is turned on' "$(heard "$settle; $deny")" \
  "{\"event\":\"settlement\",\"organizationId\":\"$org\",\"provider\":\"acme\",\"model\":\"m\",\"costUSD\":0.25}"
turn_on 'denial, transition, alert'
expect 'a denial' "$(heard "$deny")" "{\"event\":\"denial\",\"organizationId\":\"$org\",\"scope\":\"workflow\"}"
expect 'what is rolled back did not happen' "$(heard "BEGIN; $move; ROLLBACK")" ''
expect 'a transition' "$(heard "$move")" \
  "{\"event\":\"transition\",\"organizationId\":\"$org\",\"from\":\"CREATED\",\"to\":\"ICP_PENDING\"}"
expect 'a breaker that opens' "$(heard "$open")" '{"event":"alert","alert":"circuit_open","provider":"acme"}'
sql -c "SELECT holdfast.set_rate_limit('user', 1)" >/dev/null
expect 'a rate limit' "$(heard "SELECT holdfast.check_rate_limit('$org', 'ada') FROM generate_series(1, 2)")" \
  "{\"event\":\"denial\",\"organizationId\":\"$org\",\"layer\":\"user\"}"
# What names no event is refused, and the server goes on with what it had.
if sql -c "ALTER SYSTEM SET holdfast.events = 'everything'" 2>"$SCRATCH/refused"; then exit 1; fi
grep -q 'invalid value for parameter "holdfast.events"' "$SCRATCH/refused"
