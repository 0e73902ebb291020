-- Variants and what became of them; replays.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000004\''
SELECT holdfast.set_rate_limit('workflow', NULL); -- it begins many runs
SELECT workflow_id AS workflow FROM holdfast.save_workflow_definition(:org, '{"name": "ab", "steps": [
    {"id": "say", "model": "gpt-4o-mini", "input": {"prompt": "plain", "maxTokens": 10}, "onFailure": "continue",
     "variants": [{"id": "warm", "input": {"prompt": "warm {{input.x}}"}}, {"id": "cold", "weight": 1}]},
    {"id": "check", "action": "template", "approval": true, "input": {"template": "{{say.output}}, checked"}}]}') \gset
CREATE TEMP TABLE runs AS SELECT i, r.run_id FROM generate_series(1, 40) i,
    LATERAL holdfast.start_run(:org, p_workflow_id => :'workflow', p_input => '{"x": "words"}', p_split_key => 'user' || i) r;
-- The same key draws the same variant, in this run and in every other; both are drawn.
SELECT count(DISTINCT variant) AS variants, count(*) FILTER (WHERE variant = 'warm') BETWEEN 10 AND 30 AS about_half
FROM holdfast.workflow_run_steps WHERE organization_id = :org AND step_id = 'say';
SELECT (array_agg(r.run_id ORDER BY i) FILTER (WHERE variant = 'warm'))[1] AS warm, (array_agg(r.run_id ORDER BY i) FILTER (WHERE variant = 'cold'))[1] AS cold,
       (array_agg(i ORDER BY i) FILTER (WHERE variant = 'warm'))[1] AS warm_user
FROM runs r JOIN holdfast.workflow_run_steps s ON s.run_id = r.run_id AND s.step_id = 'say' WHERE s.organization_id = :org \gset
SELECT holdfast.cancel_run(run_id, :org) IS NOT NULL AS cancelled FROM runs WHERE run_id NOT IN (:'warm', :'cold') GROUP BY 1;
SELECT prompt FROM holdfast.claim_step('w', '{openai}', p_most => 10) ORDER BY prompt;
SELECT run_status FROM holdfast.complete_step(:org, :'warm', 'say', 1, 'Hello', 10, 10, p_latency_ms => 20);
SELECT run_status FROM holdfast.fail_step(:org, :'cold', 'say', 1, 'server', 'broken');
SELECT holdfast.approve_step(r, :org, 'check') FROM unnest(ARRAY[:'warm', :'cold']::uuid[]) r;
SELECT holdfast.record_run_outcome(:'warm', :org, 'answered', 4.5), holdfast.record_run_outcome(:'warm', :org, 'answered', 4.5);
SELECT holdfast.record_run_outcome(:'cold', :org, 'ignored');
\set VERBOSITY sqlstate
SELECT holdfast.record_run_outcome(:'cold', :org, 'answered');
SELECT holdfast.record_run_outcome(:'workflow', :org, 'answered');
SELECT holdfast.record_run_outcome(:'cold', :org, '');
\set VERBOSITY terse
SELECT step_id, variant, runs > 5 AS runs, completed, failed, cost_usd, mean_cost_usd, mean_latency_ms, outcomes, scored, mean_score
FROM holdfast.get_variant_results(:org, :'workflow') ORDER BY variant;

-- From the store: the same answers and approvals, at no cost, at once.
SELECT replay_token AS token FROM holdfast.get_run(:'warm', :org) \gset
SELECT run_id AS again, status, granted FROM holdfast.replay_run(:'token', :org) \gset
SELECT status, total_cost_usd, replay_of = :'warm' AS replay_of, s ->> 'id' AS step, s ->> 'status' AS step_status, s ->> 'variant' AS variant, s ->> 'output' AS output
FROM holdfast.get_run(:'again', :org), jsonb_array_elements(steps) s;
SELECT event_no, event, step_id FROM holdfast.get_run_events(:'again', :org);
SELECT status, granted FROM holdfast.replay_run((SELECT replay_token FROM holdfast.get_run(:'cold', :org)), :org);
-- What was not done then is not done now.
SELECT status FROM holdfast.replay_run((SELECT replay_token FROM holdfast.workflow_runs WHERE organization_id = :org AND status = 'cancelled' ORDER BY created_at LIMIT 1), :org);
SELECT count(*) AS open_holds FROM holdfast.holds WHERE organization_id = :org AND status = 'open';

-- Against the providers: anew, with the same variant.
SELECT run_id AS anew, status FROM holdfast.replay_run(:'token', :org, 'providers') \gset
SELECT prompt, fence FROM holdfast.claim_step('w', '{openai}');
\set VERBOSITY sqlstate
SELECT holdfast.replay_run((SELECT replay_token FROM holdfast.get_run(:'anew', :org)), :org);
\set VERBOSITY terse
SELECT run_status FROM holdfast.complete_step(:org, :'anew', 'say', 1, 'Good day', 10, 10);
SELECT holdfast.approve_step(:'anew', :org, 'check');
SELECT replay_of = :'warm' AS replay_of, total_cost_usd FROM holdfast.get_run(:'anew', :org);
SELECT runs > 5 AS runs, completed FROM holdfast.get_variant_results(:org, :'workflow', 'say') WHERE variant = 'warm';
SELECT holdfast.replay_run(:'token', :org, 'half');
SELECT holdfast.replay_run('f7000000-0000-0000-0000-00000000dead', :org);
SELECT holdfast.replay_run(:'token', 'f7000000-0000-0000-0000-000000000003');
SELECT * FROM holdfast.check_invariants();
SELECT holdfast.reset_rate_limit('workflow');
