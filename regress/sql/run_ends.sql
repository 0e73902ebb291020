-- How runs end otherwise: refused, out of budget, cancelled, lost, overdue, waiting for approval; the books are right each time.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000002\''
SELECT holdfast.set_budget(:org, 1) = :org AS budget;
SELECT holdfast.set_rate_limit('workflow', NULL);
CREATE FUNCTION pg_temp.held() RETURNS numeric LANGUAGE sql AS $$
    SELECT held FROM holdfast.get_budgets('f7000000-0000-0000-0000-000000000002') WHERE scope = 'organization' $$;
-- Two calls, one after the other, each of at most 0.00061 USD.
CREATE TEMP TABLE definitions AS SELECT '{"name": "two", "steps": [
    {"id": "a", "model": "gpt-4o-mini", "input": {"prompt": "go", "maxTokens": 1000}},
    {"id": "b", "model": "gpt-4o-mini", "input": {"prompt": "{{a.output}}", "maxTokens": 1000}}]}'::jsonb AS two;

-- The budget does not hold what the run may cost: on record, and nothing is held.
SELECT status, granted, scope, limit_usd, spent, held FROM holdfast.start_run(:org, p_definition => (SELECT jsonb_set(two, '{settings}', '{"maxTotalCost": 0.9}') FROM definitions)) r;
SELECT status, granted, scope, limit_usd, spent, held FROM holdfast.start_run(:org, p_idempotency_key => 'again', p_definition => (SELECT jsonb_set(two, '{settings}', '{"maxTotalCost": 0.2}') FROM definitions)) r;
SELECT scope, requested FROM holdfast.budget_denials WHERE organization_id = :org;
SELECT count(*) AS keys_left FROM holdfast.workflow_runs WHERE organization_id = :org AND idempotency_key IS NOT NULL;
SELECT status, error ->> 'code' AS code FROM holdfast.list_runs(:org) ORDER BY created_at;
SELECT holdfast.cancel_run(run_id, :org, 'not needed') FROM holdfast.list_runs(:org) WHERE status = 'running';
SELECT pg_temp.held() AS held;
SELECT holdfast.set_budget(:org, 100) = :org AS budget;

-- A step draws no more than the run has left; its failure is followed by another step.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT jsonb_set(jsonb_set(jsonb_set(two, '{settings}', '{"maxTotalCost": 0.0003}'),
    '{steps,0,onFailure}', '"b"'), '{steps,1,input,prompt}', '"sorry: {{a.error}}"') || '{"name": "short"}' FROM definitions)) \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT event, step_id, detail ->> 'scope' AS scope, detail ->> 'limitUSD' AS limit_usd FROM holdfast.get_run_events(:'run', :org) WHERE event LIKE '%failed';
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT status, total_cost_usd, error ->> 'code' AS code FROM holdfast.get_run(:'run', :org);
SELECT scope, requested > 0.0006 AS requested, limit_usd FROM holdfast.budget_denials WHERE organization_id = :org AND scope = 'run' LIMIT 1;

-- A provider's budget counts the steps that call it, and only while they do.
SELECT holdfast.set_budget(:org, 0.001, 'provider', 'openai', 'none') IS NOT NULL AS budget;
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT two FROM definitions)) \gset
SELECT step_id, fence FROM holdfast.claim_step('w', '{openai}');
SELECT scope, spent, held FROM holdfast.get_budgets(:org) ORDER BY scope;
SELECT accepted, cost, run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'A', 10, 900);
SELECT scope, spent, held FROM holdfast.get_budgets(:org) ORDER BY scope;
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT status, error ->> 'scope' AS scope, total_cost_usd FROM holdfast.get_run(:'run', :org);
SELECT scope, spent, held FROM holdfast.get_budgets(:org) ORDER BY scope;
SELECT holdfast.set_budget(:org, NULL, 'provider', 'openai', 'none') IS NOT NULL AS budget;

-- Cancelled while a call is under way: the run's hold is free at once, the call's is not, and its cost is recorded.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT two FROM definitions)) \gset
SELECT step_id FROM holdfast.claim_step('w', '{openai}');
SELECT * FROM holdfast.cancel_run(:'run', :org, 'enough');
SELECT * FROM holdfast.cancel_run(:'run', :org);
SELECT pg_temp.held() AS held;
SELECT step_id, fence FROM holdfast.heartbeat_steps('w', ARRAY[:org]::uuid[], ARRAY[:'run']::uuid[], '{a}', '{1}');
SELECT accepted, duplicate, cost, total_cost, step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'late', 10, 100);
SELECT accepted, duplicate, cost FROM holdfast.complete_step(:org, :'run', 'a', 1, 'late', 10, 100);
SELECT status, total_cost_usd, steps -> 0 ->> 'output' AS output FROM holdfast.get_run(:'run', :org);
SELECT pg_temp.held() AS held;

-- The worker is gone: the attempt is unresolved with the most it can have cost, the step is taken again, and the late
-- answer is charged but not taken.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT two FROM definitions)) \gset
SELECT step_id FROM holdfast.claim_step('w1', '{openai}', p_lease => '1 microsecond');
SELECT holdfast.reap_run_steps(), holdfast.reap_run_steps();
SELECT provider, model, most_usd FROM holdfast.unresolved_calls WHERE organization_id = :org;
SELECT pg_temp.held() AS held;
SELECT step_id, fence FROM holdfast.claim_step('w2', '{openai}');
SELECT accepted, duplicate, cost, total_cost, step_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'first', 10, 100);
SELECT count(*) AS unresolved FROM holdfast.unresolved_calls WHERE organization_id = :org;
SELECT accepted, duplicate, cost, total_cost, step_status FROM holdfast.complete_step(:org, :'run', 'a', 2, 'second', 10, 100);
SELECT prompt FROM holdfast.claim_step('w2', '{openai}');
-- A call that may have been charged.
SELECT accepted, step_status, run_status FROM holdfast.fail_step(:org, :'run', 'b', 1, 'timeout', 'no answer', p_transient => true, p_maybe_charged => true);
SELECT most_usd FROM holdfast.unresolved_calls WHERE organization_id = :org;
SELECT status, error ->> 'code' AS code, total_cost_usd FROM holdfast.get_run(:'run', :org);
SELECT outcome, cost FROM holdfast.workflow_run_attempts WHERE organization_id = :org AND run_id = :'run' ORDER BY step_no, fence;
SELECT holdfast.write_off_call(hold_id, :org, 'test') FROM holdfast.unresolved_calls WHERE organization_id = :org;

-- A failure that was charged all the same.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT two FROM definitions)) \gset
SELECT step_id FROM holdfast.claim_step('w', '{openai}');
SELECT accepted, cost, run_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'content_filter', 'refused', p_prompt_tokens => 100, p_completion_tokens => 0);

-- Overdue.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT jsonb_set(two, '{settings}', '{"timeout": 1}') FROM definitions)) \gset
SELECT pg_sleep(0.002);
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT holdfast.reap_run_steps();
SELECT status, error ->> 'code' AS code FROM holdfast.get_run(:'run', :org);

-- Approval: the clock stands still, a member may not, refusing fails the step.
CREATE TEMP TABLE approvals AS SELECT '{"name": "ask", "steps": [
    {"id": "draft", "action": "template", "input": {"template": "text"}},
    {"id": "send", "action": "template", "approval": true, "input": {"template": "sent {{draft.output}}"}, "onFailure": "keep"},
    {"id": "keep", "action": "template", "input": {"template": "kept: {{send.error}}"}}]}'::jsonb AS ask;
SELECT run_id AS run, status FROM holdfast.start_run(:org, p_definition => (SELECT ask FROM approvals)) \gset
SELECT :'status' AS status;
SELECT deadline_at IS NULL AS stands_still, time_left_ms BETWEEN 299000 AND 300000 AS time_left FROM holdfast.workflow_runs WHERE run_id = :'run';
SELECT holdfast.approve_step(:'run', :org, 'send', p_role => 'member');
SELECT holdfast.approve_step(:'run', :org, 'draft');
SELECT holdfast.approve_step(:'run', :org, 'send', p_actor => 'ada', p_role => 'admin');
\set VERBOSITY sqlstate
SELECT holdfast.approve_step(:'run', :org, 'send');
\set VERBOSITY terse
SELECT s ->> 'id' AS id, s ->> 'status' AS status, s ->> 'output' AS output FROM holdfast.get_run(:'run', :org), jsonb_array_elements(steps) s;
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT ask FROM approvals)) \gset
SELECT holdfast.approve_step(:'run', :org, 'send', false, 'ada', 'not now');
SELECT s ->> 'id' AS id, s ->> 'status' AS status, s ->> 'output' AS output FROM holdfast.get_run(:'run', :org), jsonb_array_elements(steps) s;
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT ask FROM approvals)) \gset
UPDATE holdfast.workflow_run_steps SET waiting_until = now() WHERE organization_id = :org AND run_id = :'run' AND status = 'waiting';
SELECT holdfast.reap_run_steps();
SELECT status, steps -> 1 -> 'error' ->> 'code' AS code FROM holdfast.get_run(:'run', :org);

-- An answer that was given before is used again where the step allows it.
CREATE TEMP TABLE cached AS SELECT '{"name": "cached", "steps": [
    {"id": "a", "model": "gpt-4o-mini", "cache": true, "input": {"prompt": "same {{input.x}}", "maxTokens": 10}}]}'::jsonb AS cached;
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT cached FROM cached), p_input => '{"x": 1}') \gset
SELECT fence FROM holdfast.claim_step('w', '{openai}');
SELECT run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'kept', 10, 10);
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT cached FROM cached), p_input => '{"x": 1}') \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT status, total_cost_usd, steps -> 0 ->> 'output' AS output, steps -> 0 ->> 'cached' AS cached FROM holdfast.get_run(:'run', :org);
SELECT cache_hit, cost, provider, model, prompt_tokens, metadata ->> 'step' AS step, metadata ->> 'savedUSD' AS saved FROM holdfast.ai_usage_ledger
WHERE organization_id = :org AND metadata ->> 'run_id' = :'run';
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT cached FROM cached), p_input => '{"x": 2}') \gset
SELECT fence FROM holdfast.claim_step('w', '{openai}');
SELECT status FROM holdfast.cancel_run(:'run', :org);
SELECT run_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'cancelled', 'stopped');

-- What cannot be called fails its step; what nobody here serves waits for one who does.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => '{"name": "odd", "steps": [{"id": "a", "model": "gpt-99", "input": {"prompt": "x"}}]}') \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT status, error FROM holdfast.get_run(:'run', :org);
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => '{"name": "odd", "steps": [{"id": "a", "provider": "groq", "input": {"prompt": "x"}}]}') \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}');
SELECT provider, model, max_tokens FROM holdfast.claim_step('w', '{openai,groq}', '{gpt-4o-mini,llama-3.3-70b}');
SELECT run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'x', 1, 1);
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => '{"name": "long", "steps": [{"id": "a", "input": {"prompt": "{{input.x}}"}}]}',
    p_input => jsonb_build_object('x', repeat('x', 60000))) \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}', '{gpt-4o-mini}');
SELECT status, error FROM holdfast.get_run(:'run', :org);

-- Refused, changing nothing.
SELECT holdfast.start_run(:org);
SELECT holdfast.start_run(:org, p_name => 'unknown');
SELECT holdfast.start_run(:org, p_definition => (SELECT cached FROM cached));
SELECT holdfast.get_run('f7000000-0000-0000-0000-00000000dead', :org);
SELECT holdfast.cancel_run('f7000000-0000-0000-0000-00000000dead', :org);
SELECT holdfast.claim_step('w', '{openai}', p_most => 65);
SELECT holdfast.list_runs(:org, p_limit => 0);
SET holdfast.max_workflow_cost = 0.5;
SELECT holdfast.check_definition((SELECT two || '{"settings": {"maxTotalCost": 0.6}}' FROM definitions));
SET holdfast.max_workflow_cost = 40;
SELECT max_cost FROM holdfast.check_definition((SELECT two || '{"settings": {"maxTotalCost": 30.5}}' FROM definitions));
SET holdfast.max_workflow_cost = 'much';
RESET holdfast.max_workflow_cost;
\set VERBOSITY default
SELECT holdfast.check_definition('{"name": "ring", "steps": [{"id": "a", "input": {"prompt": "x"}, "onSuccess": "b"}, {"id": "b", "input": {"prompt": "x"}, "onSuccess": "a"}]}');
\set VERBOSITY terse

-- Another organization's runs are not there; its claims are held to its own.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT two FROM definitions)) \gset
BEGIN;
SELECT set_config('request.jwt.claims', '{"organization_id": "f7000000-0000-0000-0000-000000000003"}', true) <> '' AS claims;
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}', p_most => 64);
SAVEPOINT s;
\set VERBOSITY sqlstate
SELECT holdfast.get_run(:'run', :org);
ROLLBACK TO s;
SELECT holdfast.cancel_run(:'run', :org);
ROLLBACK TO s;
SELECT holdfast.cancel_run(:'run', 'f7000000-0000-0000-0000-000000000003');
ROLLBACK TO s;
SELECT holdfast.approve_step(:'run', 'f7000000-0000-0000-0000-000000000003', 'a', p_role => 'owner');
ROLLBACK;
\set VERBOSITY terse
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}', p_most => 64);
SELECT status FROM holdfast.cancel_run(:'run', :org);
SELECT pg_temp.held() AS held;
SELECT count(*) AS open_holds FROM holdfast.holds WHERE organization_id = :org AND status = 'open';
SELECT count(*) AS wrong_totals FROM holdfast.workflow_runs r WHERE r.organization_id = :org AND r.total_cost <> (
    SELECT coalesce(sum(l.cost), 0) FROM holdfast.workflow_run_attempts a JOIN holdfast.ai_usage_ledger l
    ON l.organization_id = a.organization_id AND l.id = a.hold_id WHERE a.organization_id = r.organization_id AND a.run_id = r.run_id);
SELECT * FROM holdfast.check_invariants();
SELECT holdfast.reset_rate_limit('workflow');
