#!/usr/bin/env bash
# 1,000 contenders, 100 at once over connections of their own, for one transition: one wins, one row of history is
# left, and 999 are told PT409 with the three states. Then 1,000 workflows, each moved by whoever comes first.
set -euo pipefail

database=holdfast_workflow_contention
organization=55550000-0000-0000-0000-000000000001
workflow=55550000-0000-0000-0000-0000000000a1
folder=$(mktemp -d "${TMPDIR:-/tmp}/contention.XXXXXX")
run_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "$@"; }
clean_up() {
  rm -rf "$folder"
  psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"
}
trap clean_up EXIT

psql -X -q -d postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
run_sql -c 'CREATE EXTENSION holdfast' \
  -c "INSERT INTO holdfast.intent_workflows (id, organization_id) VALUES ('$workflow', '$organization')" \
  -c 'CREATE TABLE public.outcomes (contender text, outcome text, detail jsonb)' \
  -c "CREATE FUNCTION public.contend(p_workflow uuid, p_from text, p_to text, p_contender text) RETURNS void LANGUAGE plpgsql AS \$\$
    DECLARE
        its_detail text;
    BEGIN
        PERFORM holdfast.advance_workflow(p_workflow, '$organization', p_from, p_to, p_contender);
        INSERT INTO public.outcomes VALUES (p_contender, 'won');
    EXCEPTION WHEN SQLSTATE 'PT409' THEN
        GET STACKED DIAGNOSTICS its_detail = PG_EXCEPTION_DETAIL;
        INSERT INTO public.outcomes VALUES (p_contender, 'PT409', its_detail::jsonb);
    END \$\$"

# All contenders line up behind a lock, so that the first 100 come at the same moment.
cat >"$folder/contend.sql" <<SQL
SELECT pg_advisory_lock_shared(1);
SELECT public.contend('$workflow', 'CREATED', 'ICP_PENDING', 'contender ' || :client_id || ' of ' || random());
SELECT pg_advisory_unlock_shared(1);
SQL
mkfifo "$folder/gate"
psql -X -q -d "$database" <"$folder/gate" >/dev/null &
gate=$!
exec 9>"$folder/gate"
printf 'SELECT pg_advisory_lock(1);\n' >&9
waiting() {
  local deadline=$((SECONDS + 60))
  until [[ $(run_sql -c "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted = $1") -ge $2 ]]; do
    [[ $SECONDS -lt $deadline ]] || { echo 'the contenders did not come' && exit 1; }
  done
}
waiting true 1
pgbench -n -c 100 -j 2 -t 10 -f "$folder/contend.sql" "$database" >"$folder/pgbench.log" 2>&1 &
contenders=$!
waiting false 100
printf 'SELECT pg_advisory_unlock(1);\n' >&9
exec 9>&-
wait "$contenders" || { tail -20 "$folder/pgbench.log" && exit 1; }
wait "$gate"

run_sql -c 'SELECT outcome, count(*) FROM public.outcomes GROUP BY 1 ORDER BY 1'
[[ $(run_sql -c "SELECT count(*) = 1000 AND count(*) FILTER (WHERE outcome = 'won') = 1
  AND count(*) FILTER (WHERE detail = '{\"currentState\": \"ICP_PENDING\", \"expectedState\": \"CREATED\", \"attemptedState\": \"ICP_PENDING\"}') = 999
  FROM public.outcomes") == t ]]
[[ $(run_sql -c "SELECT count(*) = 1 AND min(h.actor) = (SELECT contender FROM public.outcomes WHERE outcome = 'won')
  FROM holdfast.workflow_history h") == t ]]

# 1,000 workflows, of which each is contended for by 16 clients at random, with workers that claim and a reaper beside.
run_sql -c "SELECT count(holdfast.create_workflow('$organization')) FROM generate_series(1, 1000)" >/dev/null
run_sql -c 'CREATE TABLE public.numbered AS SELECT row_number() OVER () AS n, id FROM holdfast.intent_workflows'
cat >"$folder/move.sql" <<SQL
\\set n random(1, 1001)
\\set way random(1, 20)
SELECT public.contend(id, f.state, (SELECT t.to_state FROM holdfast.workflow_transitions t
    WHERE t.graph = 'intent' AND t.from_state = f.state AND (t.kind <> 'cancel' OR :way = 1) ORDER BY random() LIMIT 1), 'mover')
  FROM public.numbered, LATERAL (SELECT state FROM holdfast.intent_workflows w WHERE w.id = numbered.id) f
  WHERE n = :n AND EXISTS (SELECT FROM holdfast.workflow_transitions t WHERE t.graph = 'intent' AND t.from_state = f.state);
SQL
cat >"$folder/work.sql" <<SQL
SELECT count(c.fence) FROM holdfast.claim_workflow_step('$organization', 'worker', 5, p_ttl => '1 second') c;
SELECT holdfast.reap_workflow_leases(5);
SQL
pgbench -n -c 16 -j 2 -t 400 -f "$folder/move.sql@5" -f "$folder/work.sql@1" "$database" >"$folder/pgbench.log" 2>&1 ||
  { tail -20 "$folder/pgbench.log"; exit 1; }
grep -E 'failed|processed' "$folder/pgbench.log"
run_sql -c "SELECT count(*) || ' transitions, ' || count(DISTINCT to_state) || ' states reached' FROM holdfast.workflow_history"
[[ $(run_sql -c 'SELECT count(*) > 2000 FROM holdfast.workflow_history') == t ]]
[[ $(run_sql -c 'SELECT count(*) FROM holdfast.check_invariants(p_full => true)') == 0 ]]
