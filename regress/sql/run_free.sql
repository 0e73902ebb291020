-- Runs that may cost nothing: they hold nothing, ask no budget, and raise no error over a hold that they have not.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000017\''
SELECT holdfast.set_budget(:org, 0) = :org AS nothing_may_be_spent;
SELECT holdfast.set_rate_limit('workflow', NULL);
CREATE TEMP TABLE definitions AS SELECT
    '{"name": "local", "steps": [{"id": "a", "action": "template", "input": {"template": "x"}}]}'::jsonb AS local,
    '{"name": "asking", "steps": [{"id": "a", "action": "template", "approval": true, "input": {"template": "x"}}], "settings": {"maxTotalCost": 0.5}}'::jsonb AS asking,
    '{"name": "free", "steps": [{"id": "a", "provider": "openai", "model": "gpt-4o-mini", "input": {"prompt": "x", "maxTokens": 10}}], "settings": {"maxTotalCost": 0}}'::jsonb AS free,
    '{"name": "going on", "steps": [{"id": "a", "provider": "openai", "model": "gpt-4o-mini", "onFailure": "continue", "input": {"prompt": "x", "maxTokens": 10}},
      {"id": "b", "action": "template", "input": {"template": "done"}}], "settings": {"maxTotalCost": 0}}'::jsonb AS going_on;
CREATE FUNCTION pg_temp.of(text) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(d) -> $1 FROM definitions d $$;

-- Local steps alone: nothing, whatever the settings say.
SELECT name, max_cost FROM definitions, LATERAL (VALUES (local), (asking)) v(definition), holdfast.check_definition(definition);
SELECT granted, status FROM holdfast.start_run(:org, p_definition => pg_temp.of('local'));
SELECT run_id AS asking, granted, status FROM holdfast.start_run(:org, p_definition => pg_temp.of('asking')) \gset
SELECT :'granted' AS granted, holdfast.approve_step(:'asking', :org, 'a');
SELECT run_id AS asking FROM holdfast.start_run(:org, p_definition => pg_temp.of('asking')) \gset
SELECT status, total_cost FROM holdfast.cancel_run(:'asking', :org);
SELECT granted, inputs FROM holdfast.start_run_batch(:org, '[{}, {}, {}]', p_definition => pg_temp.of('local'));
SELECT holdfast.tend_run_batches(), holdfast.tend_run_batches();
SELECT status, completed, max_cost_usd, held_usd FROM holdfast.list_run_batches(:org);

-- A call that nothing may be spent on: its step fails, and says whose limit it was.
SELECT run_id AS free, granted, status FROM holdfast.start_run(:org, p_definition => pg_temp.of('free')) \gset
SELECT :'granted' AS granted, :'status' AS status;
SELECT count(*) AS taken FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT status, total_cost_usd, error ->> 'code' AS code, error ->> 'scope' AS scope, error -> 'limitUSD' AS "limit" FROM holdfast.get_run(:'free', :org);
SELECT granted FROM holdfast.start_run(:org, p_definition => pg_temp.of('going_on'));
SELECT count(*) AS taken FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT status, s ->> 'id' AS step, s ->> 'status' AS step_status, s ->> 'output' AS output
FROM holdfast.list_runs(:org), jsonb_array_elements(steps) s WHERE name = 'going on';
SELECT run_id AS free FROM holdfast.start_run(:org, p_definition => pg_temp.of('free')) \gset
SELECT status FROM holdfast.cancel_run(:'free', :org);
SELECT status, granted FROM holdfast.replay_run((SELECT replay_token FROM holdfast.get_run(:'free', :org)), :org, 'providers');
SELECT count(*) AS taken FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT run_id AS free FROM holdfast.start_run(:org, p_definition => pg_temp.of('free')) \gset
UPDATE holdfast.workflow_runs SET deadline_at = now() WHERE organization_id = :org AND run_id = :'free';
SELECT holdfast.reap_run_steps() > 0 AS reaped;
SELECT status, error ->> 'code' AS code FROM holdfast.get_run(:'free', :org);

-- An answer that is kept costs nothing: a run that may cost nothing takes it.
SELECT holdfast.set_budget(:org, 1) = :org AS something_may_be_spent;
SELECT run_id AS paid FROM holdfast.start_run(:org, p_definition => jsonb_set(pg_temp.of('free') - 'settings', '{steps,0,cache}', 'true')) \gset
SELECT count(*) AS taken FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT run_status FROM holdfast.complete_step(:org, :'paid', 'a', 1, 'Hello', 10, 10);
SELECT holdfast.set_budget(:org, 0) = :org AS nothing_may_be_spent;
SELECT run_id AS kept FROM holdfast.start_run(:org, p_definition => jsonb_set(pg_temp.of('free'), '{steps,0,cache}', 'true')) \gset
SELECT count(*) AS taken FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT status, total_cost_usd, steps -> 0 ->> 'output' AS output FROM holdfast.get_run(:'kept', :org);

SELECT count(*) AS entries, count(*) FILTER (WHERE cost > 0) AS charged FROM holdfast.ai_usage_ledger WHERE organization_id = :org;
SELECT count(*) AS holds FROM holdfast.holds WHERE organization_id = :org AND hold_id NOT IN
    (SELECT :'paid' UNION ALL SELECT hold_id FROM holdfast.workflow_run_attempts WHERE run_id = :'paid');
SELECT * FROM holdfast.check_invariants();
SELECT holdfast.reset_rate_limit('workflow');
