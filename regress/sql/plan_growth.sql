-- A session keeps its plans, and makes them anew as tables grow: one that was made when a table was nearly empty, and any
-- index seemed as good as another, would read all rows of an organization for each of its runs.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000018\''
SELECT holdfast.set_rate_limit('workflow', NULL);
CREATE FUNCTION pg_temp.start() RETURNS text LANGUAGE sql AS $$
    SELECT status FROM holdfast.start_run('f7000000-0000-0000-0000-000000000018', p_definition =>
        '{"name": "w", "steps": [{"id": "a", "action": "template", "input": {"template": "x"}}]}') $$;
BEGIN;
SELECT count(pg_temp.start()) AS runs FROM generate_series(1, 2000);
-- Else it is two million.
SELECT idx_tup_fetch + seq_tup_read < 200000 AS finds_its_runs FROM pg_stat_xact_user_tables WHERE relid = 'holdfast.workflow_runs'::regclass;
COMMIT;
SELECT holdfast.reset_rate_limit('workflow');
