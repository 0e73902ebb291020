#!/usr/bin/env bash
# 64 clients mix scopes at random: holds, settlements, releases, batches, refunds, expiries and budgets that change, over
# few organizations. Nobody ever waits in a ring: no deadlock is seen by the server or by a client.
set -euo pipefail

database=holdfast_deadlock
clients=64
calls=${DEADLOCK_CALLS:-60}
folder=$(mktemp -d "${TMPDIR:-/tmp}/deadlock.XXXXXX")
run_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "$@"; }
clean_up() {
  rm -rf "$folder"
  psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"
}
trap clean_up EXIT

psql -X -q -d postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $database WITH (FORCE)" \
  -c "CREATE DATABASE $database" -c "ALTER DATABASE $database SET deadlock_timeout = '200ms'"
run_sql -c 'CREATE EXTENSION holdfast' -f - >/dev/null <<'SQL'
CREATE FUNCTION public.id(kind text, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (substr(md5(kind), 1, 8) || '-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
-- Now and then nobody.
CREATE FUNCTION public.maybe(kind text, n integer) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT CASE WHEN random() < 0.6 THEN kind || '-' || n END $$;
CREATE FUNCTION public.maybe_id(kind text, n integer) RETURNS uuid LANGUAGE sql VOLATILE AS
$$ SELECT CASE WHEN random() < 0.6 THEN public.id(kind, n) END $$;

INSERT INTO holdfast.intent_workflows (id, organization_id, cost_limit)
SELECT public.id('workflow', o * 10 + w), public.id('organization', o), 1000000
FROM generate_series(1, 3) o, generate_series(0, 5) w;
SELECT count(holdfast.set_budget(public.id('organization', o), 1000000, scope, subject, period))
FROM generate_series(1, 3) o, generate_series(0, 2) n, LATERAL (VALUES
    ('organization', '', 'month'), ('organization', '', 'day'), ('user', 'user-' || n, 'month'), ('user', 'user-' || n, 'none'),
    ('api_key', public.id('key', n)::text, 'week'), ('community', public.id('community', n)::text, 'none'),
    ('provider', 'provider-' || n, 'day'), ('tool', 'tool-' || n, 'month'),
    ('workflow', public.id('workflow', o * 10 + n)::text, 'day')) budgets(scope, subject, period);
SELECT count(holdfast.grant_credits(public.id('organization', o), account, 100000000)) FROM generate_series(1, 3) o,
    LATERAL (VALUES ('user:user-0'), ('user:user-1'), ('community:' || public.id('community', 0))) a(account);
SQL

subject="\\set o random(1, 3)
\\set w random(0, 5)
\\set u random(0, 2)
\\set k random(0, 2)
\\set c random(0, 2)
\\set p random(0, 2)
\\set t random(0, 2)"
named="p_user_id => maybe('user', :u), p_provider => maybe('provider', :p), p_api_key_id => maybe_id('key', :k),
  p_community_id => maybe_id('community', :c), p_tool => maybe('tool', :t)"

cat >"$folder/call.sql" <<SQL
$subject
\\set fate random(1, 10)
SELECT hold_id, granted FROM holdfast.hold_workflow_cost(id('workflow', :o * 10 + :w), id('organization', :o), 0.01,
  p_ttl => CASE WHEN :fate = 1 THEN interval '1 millisecond' ELSE '10 minutes' END, ${named//$'\n'/ }) \\gset
\\if :granted
SELECT CASE WHEN :fate = 1 THEN true WHEN :fate = 2 THEN holdfast.release_hold(':hold_id', id('organization', :o))
  ELSE (SELECT cost >= 0 FROM holdfast.record_usage_and_increment(id('workflow', :o * 10 + :w), id('organization', :o), 'm', 1, 1,
    0.001 * :fate, p_hold_id => ':hold_id', ${named//$'\n'/ })) END;
\\endif
SQL
cat >"$folder/refund.sql" <<SQL
$subject
SELECT ledger_id FROM holdfast.record_usage_and_increment(id('workflow', :o * 10 + :w), id('organization', :o), 'm', 1, 1, 0.01,
  ${named//$'\n'/ }) \\gset
SELECT cost FROM holdfast.refund_usage(':ledger_id', id('organization', :o), 0.004);
SQL
cat >"$folder/batch.sql" <<SQL
$subject
SELECT count(r.cost) FROM holdfast.record_usage_batch(id('organization', :o), (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
  'workflow_id', id('workflow', :o * 10 + (random() * 5)::integer), 'model', 'm', 'prompt_tokens', 1, 'completion_tokens', 1,
  'cost', 0.001, 'idempotency_key', CASE WHEN n % 2 = 0 THEN id('settlement', (random() * 50)::integer + :o * 100000) END,
  'user_id', maybe('user', n % 3), 'provider', maybe('provider', n % 3), 'tool', maybe('tool', n % 2),
  'community_id', maybe_id('community', n % 3)))) FROM generate_series(1, 12) n)) r;
SQL
cat >"$folder/budget.sql" <<SQL
$subject
SELECT holdfast.set_budget(id('organization', :o), 1000000 + :u, 'user', 'user-' || :u);
SELECT holdfast.set_budget(id('organization', :o), 1000000 + :t);
UPDATE holdfast.intent_workflows SET cost_limit = 1000000 + :k WHERE id = id('workflow', :o * 10 + :w);
SQL
cat >"$folder/adjust.sql" <<SQL
$subject
SELECT holdfast.increment_workflow_cost(id('workflow', :o * 10 + :w), 0.002);
SELECT holdfast.grant_credits(id('organization', :o), 'user:user-' || (:u % 2), 1);
SQL
printf 'SELECT holdfast.expire_holds(50);\n' >"$folder/expire.sql"

status=0
pgbench -n -c "$clients" -j 2 -t "$calls" -f "$folder/call.sql@20" -f "$folder/refund.sql@5" -f "$folder/batch.sql@4" \
  -f "$folder/budget.sql@1" -f "$folder/adjust.sql@3" -f "$folder/expire.sql@3" "$database" >"$folder/pgbench.log" 2>&1 || status=$?
grep -E 'ERROR|failed transactions:|actually processed' "$folder/pgbench.log" | sort | uniq -c | sort -rn | head -20

# The server's own count reaches the statistics a moment after the session has ended.
deadlocks=$(run_sql -c "SELECT pg_stat_clear_snapshot()" -c "SELECT deadlocks FROM pg_stat_database WHERE datname = '$database'" | tail -1)
violations=$(run_sql -c 'SELECT count(*) FROM holdfast.check_invariants()')
entries=$(run_sql -c 'SELECT count(*) FROM holdfast.ai_usage_ledger')
echo "$deadlocks deadlocks, $violations violations, $entries entries"
[[ $status == 0 && $deadlocks == 0 && $violations == 0 && $entries -gt $((clients * calls / 4)) ]]
[[ $(grep -cE '40P01|deadlock detected' "$folder/pgbench.log") == 0 ]]
grep -q 'number of failed transactions: 0 ' "$folder/pgbench.log"
