-- One definition over many inputs under one hold: checked first, begun a few at once, and what is left comes back.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000021\''
SELECT holdfast.set_budget(:org, 10) = :org AS budget;
CREATE FUNCTION pg_temp.held() RETURNS numeric LANGUAGE sql AS $$
    SELECT held FROM holdfast.get_budgets('f7000000-0000-0000-0000-000000000021') WHERE scope = 'organization' $$;
CREATE TEMP TABLE definitions AS SELECT '{"name": "greet", "inputs": ["name"], "steps": [
    {"id": "a", "model": "gpt-4o-mini", "input": {"prompt": "Hi {{input.name}}", "maxTokens": 100}}],
    "settings": {"maxTotalCost": 0.01}}'::jsonb AS greet;
CREATE FUNCTION pg_temp.progress(batch uuid) RETURNS TABLE (status text, inputs int, pending int, running int, completed int, failed int, cancelled int, cost numeric, held numeric, remaining numeric, error text)
    LANGUAGE sql AS $$ SELECT status, inputs, pending, running, completed, failed, cancelled, total_cost_usd, held_usd, remaining_usd, error ->> 'code' FROM holdfast.get_run_batch(batch, 'f7000000-0000-0000-0000-000000000021') $$;

-- All inputs are checked before anything is held.
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}, {"nam": "b"}]', p_definition => (SELECT greet FROM definitions));
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}, 7]', p_definition => (SELECT greet FROM definitions));
SELECT holdfast.start_run_batch(:org, '[]', p_definition => (SELECT greet FROM definitions));
SELECT holdfast.start_run_batch(:org, '{}', p_definition => (SELECT greet FROM definitions));
SELECT holdfast.start_run_batch(:org, (SELECT jsonb_agg('{"name": "x"}'::jsonb) FROM generate_series(1, 10001)), p_definition => (SELECT greet FROM definitions));
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}]', p_definition => (SELECT greet FROM definitions), p_max_cost => 0.001);
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}]', p_definition => (SELECT greet FROM definitions), p_most_active => 0);
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}]');
SELECT count(*) AS batches FROM holdfast.list_run_batches(:org);
SELECT pg_temp.held() AS held;

-- One hold for all; a few runs at once, each with its part of it.
SELECT batch_id AS batch, status, granted, duplicate, inputs FROM holdfast.start_run_batch(:org,
    '[{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}]', p_definition => (SELECT greet FROM definitions),
    p_user_id => 'ada', p_idempotency_key => 'k', p_most_active => 2) \gset b_
SELECT :'b_status' AS status, :'b_granted' AS granted, :'b_duplicate' AS duplicate, :'b_inputs' AS inputs;
SELECT batch_id = :'b_batch' AS the_same, duplicate FROM holdfast.start_run_batch(:org,
    '[{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}]', p_definition => (SELECT greet FROM definitions),
    p_user_id => 'ada', p_idempotency_key => 'k', p_most_active => 2);
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}]', p_definition => (SELECT greet FROM definitions), p_user_id => 'ada', p_idempotency_key => 'k');
SELECT pg_temp.held() AS held;
SELECT * FROM pg_temp.progress(:'b_batch');
SELECT holdfast.tend_run_batches(), holdfast.tend_run_batches();
SELECT * FROM pg_temp.progress(:'b_batch');
SELECT pg_temp.held() AS held;
CREATE TEMP TABLE taken AS SELECT run_id, fence, prompt FROM holdfast.claim_step('w', '{openai}', p_most => 10);
SELECT prompt FROM taken ORDER BY prompt;
SELECT * FROM pg_temp.progress(:'b_batch');
SELECT (holdfast.complete_step(:org, run_id, 'a', fence, 'Hello.', 10, 10)).run_status FROM taken WHERE prompt = 'Hi a';
SELECT (holdfast.fail_step(:org, run_id, 'a', fence, 'bad_request', 'no')).run_status FROM taken WHERE prompt = 'Hi b';
SELECT * FROM pg_temp.progress(:'b_batch');
SELECT holdfast.tend_run_batches();
SELECT * FROM pg_temp.progress(:'b_batch');
SELECT pg_temp.held() AS held;
-- To its end: nothing is held any more.
DO $$
DECLARE
    step record;
BEGIN
    LOOP
        PERFORM holdfast.tend_run_batches();
        SELECT * INTO step FROM holdfast.claim_step('w', '{openai}');
        EXIT WHEN NOT FOUND;
        PERFORM holdfast.complete_step(step.organization_id, step.run_id, step.step_id, step.fence, 'Hello.', 10, 10);
    END LOOP;
END $$;
SELECT * FROM pg_temp.progress(:'b_batch');
SELECT holdfast.tend_run_batches();
SELECT pg_temp.held() AS held;
-- Results in pages by key.
SELECT input_no, input, status, steps -> 0 ->> 'output' AS output, error ->> 'code' AS error, total_cost_usd FROM holdfast.list_run_batch_results(:'b_batch', :org, p_limit => 3);
SELECT input_no, status FROM holdfast.list_run_batch_results(:'b_batch', :org, p_after => 3, p_limit => 3);
SELECT input_no FROM holdfast.list_run_batch_results(:'b_batch', :org, p_status => 'failed');
SELECT holdfast.list_run_batch_results(:'b_batch', :org, p_status => 'lost');
SELECT holdfast.list_run_batch_results(:'b_batch', :org, p_limit => 0);
SELECT holdfast.get_run_batch(:org, :org);
SELECT count(*) AS runs, count(DISTINCT batch_no) AS inputs FROM holdfast.list_runs(:org) WHERE batch_id = :'b_batch';
SELECT count(*) AS unresolved FROM holdfast.unresolved_calls WHERE organization_id = :org;
SELECT event, count(*), count(DISTINCT run_id) AS runs FROM holdfast.get_audit_log(:org, p_run_group => :'b_batch') GROUP BY event ORDER BY event;

-- With less money than all of them may cost, runs wait for what others leave; where it does not hold one more, it has failed.
SELECT batch_id AS batch FROM holdfast.start_run_batch(:org, '[{"name": "a"}, {"name": "b"}, {"name": "c"}]',
    p_definition => (SELECT greet FROM definitions), p_max_cost => 0.015) \gset
SELECT holdfast.tend_run_batches();
SELECT * FROM pg_temp.progress(:'batch');
SELECT (holdfast.complete_step(:org, run_id, 'a', fence, 'x', 10, 10)).cost FROM holdfast.claim_step('w', '{openai}');
SELECT holdfast.tend_run_batches();
-- It costs more than was thought.
SELECT (holdfast.complete_step(:org, run_id, 'a', fence, 'x', 10, 12000)).cost FROM holdfast.claim_step('w', '{openai}');
SELECT holdfast.tend_run_batches();
SELECT * FROM pg_temp.progress(:'batch');
SELECT pg_temp.held() AS held;

-- A budget that does not hold it refuses the batch; a key is free again.
SELECT status, granted, scope, limit_usd FROM holdfast.start_run_batch(:org, (SELECT jsonb_agg('{"name": "x"}'::jsonb) FROM generate_series(1, 2000)),
    p_definition => (SELECT greet FROM definitions), p_idempotency_key => 'much');
SELECT status, error ->> 'code' AS code, pending FROM holdfast.list_run_batches(:org, 1);
SELECT count(*) AS keys FROM holdfast.workflow_run_batches WHERE organization_id = :org AND idempotency_key = 'much';

-- Cancelled with calls under way: nothing more begins, the rest is free at once, what the calls cost is recorded.
SELECT batch_id AS batch FROM holdfast.start_run_batch(:org, '[{"name": "a"}, {"name": "b"}, {"name": "c"}]',
    p_definition => (SELECT greet FROM definitions), p_most_active => 2) \gset
SELECT holdfast.tend_run_batches();
SELECT run_id AS run, fence FROM holdfast.claim_step('w', '{openai}') \gset
SELECT holdfast.cancel_run_batch(:'batch', :org, 'enough'), holdfast.cancel_run_batch(:'batch', :org);
SELECT * FROM pg_temp.progress(:'batch');
SELECT pg_temp.held() > 0 AND pg_temp.held() < 0.01 AS holds_the_call_alone;
SELECT holdfast.tend_run_batches(), (SELECT count(*) FROM holdfast.claim_step('w', '{openai}')) AS claimed;
SELECT accepted, cost FROM holdfast.complete_step(:org, :'run', 'a', :fence, 'late', 10, 10);
SELECT cost, cancelled, pending FROM pg_temp.progress(:'batch');
SELECT pg_temp.held() AS held;
\set VERBOSITY sqlstate
SELECT holdfast.cancel_run_batch(:'b_batch', :org);
\set VERBOSITY terse
SELECT holdfast.cancel_run_batch(:org, :org);

-- Nobody looked after it for a day: its hold has run out, and it ends with the run that goes on, whose rest returns.
SELECT batch_id AS batch FROM holdfast.start_run_batch(:org, '[{"name": "a"}, {"name": "b"}]', p_definition => (SELECT greet FROM definitions), p_most_active => 1) \gset
SELECT holdfast.tend_run_batches();
UPDATE holdfast.holds SET expires_at = now() - interval '1 second' WHERE organization_id = :org AND hold_id = :'batch';
SELECT holdfast.tend_run_batches();
SELECT status, pending, running, error FROM pg_temp.progress(:'batch');
SELECT (holdfast.complete_step(:org, run_id, 'a', fence, 'x', 10, 10)).run_status FROM holdfast.claim_step('w', '{openai}');
SELECT holdfast.tend_run_batches();
SELECT status, pending, running, error FROM pg_temp.progress(:'batch');
SELECT pg_temp.held() AS held;
SELECT count(*) AS unresolved FROM holdfast.unresolved_calls WHERE organization_id = :org;
-- It lives on while somebody does.
SELECT batch_id AS batch FROM holdfast.start_run_batch(:org, '[{"name": "a"}]', p_definition => (SELECT greet FROM definitions)) \gset
UPDATE holdfast.holds SET expires_at = now() + interval '1 hour' WHERE organization_id = :org AND hold_id = :'batch';
SELECT holdfast.tend_run_batches();
SELECT expires_at > now() + interval '23 hours' AS extended FROM holdfast.holds WHERE organization_id = :org AND hold_id = :'batch';
SELECT holdfast.cancel_run_batch(:'batch', :org);

-- Steps that need no provider are done as they begin.
SELECT batch_id AS batch FROM holdfast.start_run_batch(:org, '[{"x": 1}, {"x": 2}, {"x": 3}]', p_most_active => 2,
    p_definition => '{"name": "local", "steps": [{"id": "a", "action": "template", "input": {"template": "<{{input.x}}>"}}]}') \gset
SELECT holdfast.tend_run_batches(), holdfast.tend_run_batches(), holdfast.tend_run_batches();
SELECT input_no, steps -> 0 ->> 'output' AS output FROM holdfast.list_run_batch_results(:'batch', :org);
SELECT status, completed FROM pg_temp.progress(:'batch');

-- What costs nothing holds nothing.
SELECT batch_id AS batch, granted FROM holdfast.start_run_batch(:org, '[{}, {}]', p_most_active => 1,
    p_definition => '{"name": "free", "settings": {"maxTotalCost": 0}, "steps": [{"id": "a", "action": "template", "input": {"template": "x"}}]}') \gset
SELECT :'granted' AS granted, pg_temp.held() AS held;
SELECT holdfast.tend_run_batches(), holdfast.tend_run_batches(), holdfast.tend_run_batches();
SELECT status, completed FROM pg_temp.progress(:'batch');

-- A batch counts as one start of a run.
SELECT holdfast.set_rate_limit('workflow', 1);
SELECT (holdfast.start_run(:org, p_user_id => 'bob', p_input => '{"name": "x"}', p_definition => (SELECT greet FROM definitions))).granted;
SELECT batch_id, status, granted, rate_layer, rate_limit, rate_remaining, retry_after_ms > 0 AS waits FROM holdfast.start_run_batch(:org, '[{"name": "a"}]', p_definition => (SELECT greet FROM definitions), p_user_id => 'bob');
SELECT run_id, status, granted, duplicate, rate_layer, rate_limit, rate_remaining FROM holdfast.start_run(:org, p_user_id => 'bob', p_input => '{"name": "x"}', p_definition => (SELECT greet FROM definitions));
SELECT detail ->> 'layer' AS layer, user_id FROM holdfast.get_audit_log(:org, 'limited');
SELECT holdfast.reset_rate_limit('workflow');
SELECT (holdfast.cancel_run(run_id, :org)).status FROM holdfast.list_runs(:org, p_user_id => 'bob');

-- Another organization's batches are not there.
BEGIN;
SELECT set_config('request.jwt.claims', '{"organization_id": "f7000000-0000-0000-0000-000000000022"}', true) <> '' AS claims;
SELECT count(*) AS seen FROM holdfast.list_run_batches('f7000000-0000-0000-0000-000000000022');
SAVEPOINT s;
SELECT holdfast.get_run_batch(:'b_batch', :org);
ROLLBACK TO s;
SELECT holdfast.cancel_run_batch(:'b_batch', :org);
ROLLBACK TO s;
SELECT holdfast.start_run_batch(:org, '[{"name": "a"}]', p_definition => (SELECT greet FROM definitions));
ROLLBACK;
SELECT pg_temp.held() AS held;
SELECT count(*) AS open_holds FROM holdfast.holds WHERE organization_id = :org AND status = 'open';
SELECT * FROM holdfast.check_invariants();
