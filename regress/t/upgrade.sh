#!/usr/bin/env bash
# From every earlier version with data to the present one: the catalog becomes that of a fresh installation, the rows
# stay, the books are right, and what was begun before the upgrade ends after it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fresh=holdfast_fresh upgraded=holdfast_upgraded
folder=$(mktemp -d "${TMPDIR:-/tmp}/upgrade.XXXXXX")
run_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
clean_up() {
  rm -rf "$folder"
  for database in $fresh $upgraded; do psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $database"; done
}
trap clean_up EXIT

# The frozen scripts join the others where the server looks for them.
control=$(find "${HOLDFAST_STAGE:?}" -name holdfast.control | head -1)
cp "$root"/regress/upgrade/holdfast--*.sql "$(dirname "$control")"
chmod go+r "$(dirname "$control")"/holdfast--*.sql

# make_database NAME [VERSION]
make_database() {
  run_sql -d postgres -c "DROP DATABASE IF EXISTS $1" -c "CREATE DATABASE $1"
  run_sql -d "$1" -c "CREATE EXTENSION holdfast${2:+ VERSION \"$2\"}"
}

# upgrade_from VERSION: leaves the upgraded database; every column of every table is compared, before and after.
upgrade_from() {
  local columns
  make_database $upgraded "$1"
  run_sql -d $upgraded -f "$root/regress/upgrade/data_$1.sql" >/dev/null
  columns=$(run_sql -d $upgraded -c "SELECT format('SELECT %L, count(*), md5(string_agg(t::text, '','' ORDER BY t::text)) FROM (SELECT %s FROM %s%s) t;',
      c.oid::regclass, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), c.oid::regclass,
      CASE WHEN c.relname = 'budget_counters' THEN ' WHERE spent <> 0 OR held <> 0' ELSE '' END)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY c.oid, c.relname ORDER BY c.relname")
  run_sql -d $upgraded -c "$columns" >"$folder/before" || true
  if grep -q '|0|' "$folder/before"; then echo "a table of $1 has no data to keep:" && cat "$folder/before" && exit 1; fi
  run_sql -d $upgraded -c 'ALTER EXTENSION holdfast UPDATE'
  run_sql -d $upgraded -c "$columns" >"$folder/after"
  diff "$folder/before" "$folder/after" || { echo "the rows of $1 have changed" && exit 1; }
  run_sql -d $upgraded -f "$root/regress/upgrade/catalog.sql" >"$folder/upgraded"
  diff "$folder/fresh" "$folder/upgraded" || { echo "the catalog upgraded from $1 (>) differs from a fresh one (<)" && exit 1; }
  [[ $(run_sql -d $upgraded -c 'SELECT count(*) FROM holdfast.check_invariants()') == 0 ]]
  echo "from $1: $(wc -l <"$folder/fresh") facts of the catalog are equal, $(wc -l <"$folder/before") tables kept their rows"
}

export PGOPTIONS='-c client_min_messages=warning'
make_database $fresh
run_sql -d $fresh -f "$root/regress/upgrade/catalog.sql" >"$folder/fresh"
[[ $(wc -l <"$folder/fresh") -gt 300 ]]
versions=$(find "$root/regress/upgrade" -name 'holdfast--*.sql' | sed 's/.*--\(.*\)\.sql$/\1/' | sort -rV)
for version in $versions; do upgrade_from "$version"; done

# The last was from 0.1.0.
[[ $(run_sql -d $upgraded -c 'SELECT count(DISTINCT seq) = count(*) AND min(seq) = 1 FROM holdfast.ai_usage_ledger') == t ]]

# A hold of 0.1.0 is settled, a key of 0.1.0 is known, one that ran out is swept, its month still has its limit, its
# workflow moves.
org=d1000000-0000-4000-8000-000000000001 workflow=d1000000-0000-4000-8000-0000000000a1
answers=$(run_sql -d $upgraded -F ' ' <<SQL
SELECT cost, total_ai_cost, duplicate, overrun FROM holdfast.record_usage_and_increment('$workflow', '$org', 'rope', 1, 1, 0.2,
  p_hold_id => 'd1000000-0000-4000-8000-0000000000f1', p_user_id => 'ada');
SELECT cost, total_ai_cost, duplicate FROM holdfast.record_usage_and_increment('$workflow', '$org', 'rope', 10, 5,
  p_idempotency_key => 'd1000000-0000-4000-8000-000000001050', p_user_id => 'ada');
SELECT holdfast.expire_holds();
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, '$org', 9.051);
SELECT granted FROM holdfast.hold_workflow_cost(NULL, '$org', 9.05);
SELECT holdfast.get_organization_monthly_ai_cost('$org');
SELECT state, step, fence FROM holdfast.advance_workflow('$workflow', '$org', 'CREATED', 'ICP_PENDING');
SELECT count(*) FROM holdfast.check_invariants();
SQL
)
diff - <(sed -E 's/(\.[0-9]*[1-9])0+\b/\1/g' <<<"$answers") <<EOF
0.2 0.7 f 0
0.01 0.5 t
1
f organization 10 0.95 0
t
0.95
ICP_PENDING 1 1
0
EOF
