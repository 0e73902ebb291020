#!/usr/bin/env bash
# pg_dump and a restore into an empty database keep every row, every sequence and every invariant, and calls go on.
set -euo pipefail

source=holdfast_dumped target=holdfast_restored
folder=$(mktemp -d "${TMPDIR:-/tmp}/dump.XXXXXX")
run_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
clean_up() {
  rm -rf "$folder"
  for database in $source $target; do psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $database"; done
}
trap clean_up EXIT
export PGOPTIONS='-c client_min_messages=warning'
for database in $source $target; do
  run_sql -d postgres -c "DROP DATABASE IF EXISTS $database" -c "CREATE DATABASE $database"
done

org=d2000000-0000-4000-8000-000000000001
run_sql -d $source -c 'CREATE EXTENSION holdfast' -f - >/dev/null <<SQL
SELECT holdfast.set_budget('$org', 50);
SELECT holdfast.set_budget('$org', 5, 'user', 'ada', 'none', 4, 4.5, 'gpt-4o-mini');
SELECT holdfast.set_plan_budget('pro', 40), holdfast.set_plan_budget('pro', 5, 'user', '*', 'week');
SELECT holdfast.set_organization_plan('$org', 'pro');
SELECT holdfast.grant_credits('$org', 'user:ada', 1000, 'welcome', 'd2000000-0000-4000-8000-0000000000c1');
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date)
VALUES ('acme', 'rope', 1.5, 2.5, '2025-01-01');
SELECT holdfast.create_api_key('$org', 'one');
SELECT holdfast.create_workflow('$org', '{"topic": "rope"}', p_cost_limit => 20) AS workflow \gset
SELECT count(cost) FROM generate_series(1, 200) n, LATERAL holdfast.record_usage_and_increment(:'workflow', '$org', 'rope', n, n,
  p_user_id => 'ada', p_idempotency_key => ('d2000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, p_metadata => '{"a": [1, null]}');
SELECT ledger_id FROM holdfast.record_usage_and_increment(:'workflow', '$org', 'm', 1, 1, 0.5) \gset
SELECT holdfast.refund_usage(:'ledger_id', '$org', 0.25, 'came back empty');
SELECT holdfast.increment_workflow_cost(:'workflow', 0.125);
SELECT hold_id FROM holdfast.hold_workflow_cost(:'workflow', '$org', 1, p_user_id => 'ada',
  p_idempotency_key => 'd2000000-0000-4000-8000-0000000000f1');
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', '$org', 1, p_ttl => '1 microsecond');
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', '$org', 1000);
BEGIN;
INSERT INTO holdfast.workflow_states (graph, state, step, status, is_initial, is_terminal, lease_ttl) VALUES
  ('render', 'queued', 1, 'pending', true, false, NULL), ('render', 'drawing', 1, 'processing', false, false, '1 minute'),
  ('render', 'broken', 1, 'failed', false, true, NULL), ('render', 'drawn', 1, 'completed', false, true, NULL);
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state, kind) VALUES ('render', 'queued', 'drawing', 'claim'),
  ('render', 'drawing', 'broken', 'failure'), ('render', 'drawing', 'drawn', 'forward');
COMMIT;
SELECT count(holdfast.create_workflow('$org', p_graph => 'render')) FROM generate_series(1, 2);
SELECT count(c) FROM holdfast.claim_workflow_step('$org', 'pen', p_graph => 'render') c;
INSERT INTO holdfast.idempotent_calls (organization_id, idempotency_key, fingerprint, hold_id, created_at, answer_status, answer)
VALUES ('$org', 'again', '\x01', 'd2000000-0000-4000-8000-0000000000f1', now(), 200, 'fine');
SELECT holdfast.keep_audit_months(), holdfast.make_audit_month('2001-02-01');
INSERT INTO holdfast.ai_audit_log (organization_id, audit_id, created_at, event) VALUES ('$org', gen_random_uuid(), '2001-01-01', 'early');
SELECT holdfast.set_audit('$org', true, 'off');
INSERT INTO holdfast.ai_audit_log (organization_id, audit_id, created_at, event)
SELECT '$org', gen_random_uuid(), at, 'settled' FROM unnest(ARRAY[now(), '2001-02-15']) at;
SQL

# Every table and every sequence of the extension; their contents do not depend on the order of the rows. The shipped
# prices are not dumped but made by CREATE EXTENSION, at another moment.
contents() {
  run_sql -d "$1" -c "$(run_sql -d "$1" -c "SELECT CASE relkind WHEN 'S' THEN format('SELECT %L, last_value, is_called::text FROM %s;', oid::regclass, oid::regclass)
      ELSE format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, '','' ORDER BY t::text), '''')) FROM %s t;', oid::regclass,
        CASE relname WHEN 'ai_provider_pricing' THEN '(SELECT to_jsonb(p) - CASE WHEN shipped THEN ''created_at'' ELSE '''' END FROM holdfast.ai_provider_pricing p)'
                     ELSE oid::regclass::text END) END
    FROM pg_class WHERE relnamespace = 'holdfast'::regnamespace AND relkind IN ('r', 'p', 'S') ORDER BY oid::regclass::text")"
}
contents $source >"$folder/before"
[[ $(grep -c . "$folder/before") -ge 9 ]]

pg_dump -Fc -f "$folder/dump" $source
pg_restore --exit-on-error -d $target "$folder/dump"
contents $target >"$folder/after"
diff "$folder/before" "$folder/after" || { echo 'the restored rows (>) differ' && exit 1; }
[[ $(run_sql -d $target -c 'SELECT count(*) FROM holdfast.check_invariants()') == 0 ]]

# What was known is known, what was held is held, and new rows get new numbers.
answers=$(run_sql -d $target -F ' ' <<SQL
SELECT id AS workflow FROM holdfast.intent_workflows WHERE graph = 'intent' \gset
SELECT duplicate FROM holdfast.record_usage_and_increment(:'workflow', '$org', 'rope', 200, 200, p_user_id => 'ada',
  p_idempotency_key => 'd2000000-0000-4000-8000-000000000200');
SELECT overrun FROM holdfast.record_usage_and_increment(:'workflow', '$org', 'rope', 1, 1, 0.75, p_user_id => 'ada',
  p_hold_id => 'd2000000-0000-4000-8000-0000000000f1');
SELECT count(DISTINCT seq) = count(*) AND max(seq) = (SELECT last_value FROM holdfast.ledger_seq) FROM holdfast.ai_usage_ledger;
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output) VALUES ('acme', 'hemp', 1, 1);
SELECT price_id = (SELECT max(price_id) FROM holdfast.ai_provider_pricing) FROM holdfast.ai_provider_pricing WHERE model = 'hemp';
SELECT max(price_id) FILTER (WHERE shipped) < 10000 AND min(price_id) FILTER (WHERE NOT shipped) >= 10000 FROM holdfast.ai_provider_pricing;
SELECT holdfast.expire_holds();
SELECT a.state, a.fence FROM holdfast.intent_workflows w, LATERAL holdfast.advance_workflow(w.id, '$org', 'drawing', 'drawn', 'pen', p_fence => 1) a
  WHERE w.state = 'drawing';
SELECT c.state, c.attempt FROM holdfast.claim_workflow_step('$org', 'pen', p_graph => 'render') c;
SELECT count(*), count(DISTINCT a.tableoid) FROM holdfast.get_audit_log('$org') JOIN holdfast.ai_audit_log a USING (audit_id);
SELECT relrowsecurity, (SELECT tgenabled FROM pg_trigger WHERE tgrelid = c.oid AND tgname = 'append_only') FROM pg_class c WHERE relname = 'ai_audit_log_200102';
SELECT holdfast.drop_audit_before('2001-03-01'), holdfast.keep_audit_months();
SELECT count(*) FROM holdfast.check_invariants(p_full => true);
SQL
)
diff - <(printf '%s\n' "$answers") <<EOF
t
0
t
t
t
1
drawn 2
drawing 1
3 3
t A
2 0
0
EOF
echo "$(wc -l <"$folder/before") tables and sequences are as they were"
