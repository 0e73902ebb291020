-- Steps that hand a document over: of the built-in definitions alone, taken by workers that deliver, nothing held and
-- nothing charged.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000013\''
SELECT holdfast.set_budget(:org, 0) = :org AS nothing_may_be_spent;
\set definition '{"name": "d", "steps": [{"id": "out", "action": "deliver", "retry": {"maxAttempts": 2, "delayMs": 0}, "input": {"document": {"kind": "a {{input.article.title}}", "article": "{{input.article}}"}}}], "settings": {"maxTotalCost": 0}}'
\set input '{"article": {"title": "T", "body": ["{{x}}"]}}'
-- A tenant's definition sends nothing to the operator's webhook, however it comes.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT * FROM holdfast.save_workflow_definition(:org, :'definition');
\set VERBOSITY terse
SELECT * FROM holdfast.start_run(:org, p_definition => :'definition', p_input => :'input');
SELECT * FROM holdfast.start_run_batch(:org, jsonb_build_array(:'input'::jsonb), p_definition => :'definition');
INSERT INTO holdfast.ai_workflows (organization_id, name, version, definition) VALUES (:org, 'd', '1', :'definition');
-- As start_intent_step() begins it.
SELECT run_id AS run, granted FROM holdfast.start_step_run(:org, NULL, NULL, :'definition', :'input', NULL, NULL, NULL, NULL, NULL, NULL, NULL, gen_random_uuid()) \gset
SELECT :'granted' AS granted;
SELECT count(*) AS by_those_that_do_not FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT step_id, fence, action, prompt, most_usd, schema FROM holdfast.claim_step('w', '{openai,webhook}', p_organization_id => :org, p_lease => '1 microsecond');
-- Its worker is gone: nothing is unresolved, and another takes it.
SELECT holdfast.reap_run_steps();
SELECT count(*) AS unresolved FROM holdfast.unresolved_calls WHERE organization_id = :org;
SELECT fence, action FROM holdfast.claim_step('w', '{webhook}', p_organization_id => :org);
SELECT accepted, cost, step_status FROM holdfast.fail_step(:org, :'run', 'out', 2, 'server', '503', p_transient => true);
SELECT fence FROM holdfast.claim_step('w', '{webhook}', p_organization_id => :org);
SELECT accepted, duplicate, cost, run_status FROM holdfast.complete_step(:org, :'run', 'out', 3, '{"delivered": true}', NULL, 0);
SELECT accepted, duplicate, cost, run_status FROM holdfast.complete_step(:org, :'run', 'out', 3, '{"delivered": true}', NULL, 0);
SELECT status, total_cost_usd, steps -> 0 ->> 'output' AS output FROM holdfast.get_run(:'run', :org);
SELECT count(*) AS holds, (SELECT count(*) FROM holdfast.ai_usage_ledger WHERE organization_id = :org) AS entries FROM holdfast.holds WHERE organization_id = :org;
-- Run once more from what was kept, it is not delivered again; nor can it be run anew.
SELECT replay_token AS token FROM holdfast.get_run(:'run', :org) \gset
SELECT run_id AS again FROM holdfast.replay_run(:'token', :org) \gset
SELECT status, total_cost_usd, steps -> 0 ->> 'output' AS output FROM holdfast.get_run(:'again', :org);
SELECT * FROM holdfast.replay_run(:'token', :org, 'providers');
SELECT count(*) AS to_be_delivered FROM holdfast.claim_step('w', '{webhook}', p_organization_id => :org);
SELECT * FROM holdfast.check_invariants();
