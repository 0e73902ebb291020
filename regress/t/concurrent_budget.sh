#!/usr/bin/env bash
# 64 clients hold and settle against one workflow of $1.00: it is never passed, and at least $0.99 of it is used.
set -euo pipefail

database=holdfast_concurrent_budget
clients=64
organization=44440000-0000-0000-0000-000000000001
workflow=44440000-0000-0000-0000-0000000000a1
folder=$(mktemp -d "${TMPDIR:-/tmp}/concurrent.XXXXXX")
run_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "$@"; }
clean_up() {
  rm -rf "$folder"
  psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $database"
}
trap clean_up EXIT

psql -X -q -d postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
run_sql -c 'CREATE EXTENSION holdfast' \
  -c "INSERT INTO holdfast.intent_workflows (id, organization_id) VALUES ('$workflow', '$organization')"

# Each call holds the most it can cost and settles a random part of it; a tenth of the holds are released.
cat >"$folder/call.sql" <<SQL
\\set cents random(1, 20)
\\set part random(0, 100)
SELECT hold_id, granted FROM holdfast.hold_workflow_cost('$workflow', '$organization', :cents * 0.001) \\gset
\\set fate random(1, 10)
\\if :granted
SELECT CASE WHEN :fate = 1 THEN holdfast.release_hold(':hold_id', '$organization')
  ELSE (SELECT cost >= 0 FROM holdfast.record_usage_and_increment('$workflow', '$organization', 'm', 1, 1,
        :cents * 0.00001 * :part, p_hold_id => ':hold_id')) END;
\\endif
SQL
pgbench -n -c "$clients" -j 2 -t 40 -f "$folder/call.sql" "$database" >"$folder/pgbench.log" 2>&1 ||
  { tail -20 "$folder/pgbench.log"; exit 1; }
grep -E 'failed|processed' "$folder/pgbench.log"

# What the random calls left is used up by calls of a tenth of a cent.
run_sql -c "SELECT count(r.cost) FROM generate_series(1, 1000),
  LATERAL holdfast.hold_workflow_cost('$workflow', '$organization', 0.001) h,
  LATERAL holdfast.record_usage_and_increment('$workflow', '$organization', 'm', 1, 1, 0.001, p_hold_id => h.hold_id) r
  WHERE h.granted" >/dev/null

run_sql -c "SELECT 'total ' || total_ai_cost || ', held ' || held_cost FROM holdfast.intent_workflows"
[[ $(run_sql -c "SELECT total_ai_cost BETWEEN 0.99 AND 1.00 AND held_cost = 0 FROM holdfast.intent_workflows") == t ]]
[[ $(run_sql -c 'SELECT count(*) FROM holdfast.budget_denials') -gt 0 ]]
[[ $(run_sql -c "SELECT sum(cost) = (SELECT total_ai_cost FROM holdfast.intent_workflows) FROM holdfast.ai_usage_ledger") == t ]]
[[ $(run_sql -c 'SELECT count(*) FROM holdfast.check_invariants()') == 0 ]]
