-- Runs of definitions: steps in their order, branches and joins, money drawn on one hold, attempts that end once.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000001\''
SELECT holdfast.set_budget(:org, 5) = :org AS budget;
SELECT name, version, duplicate FROM holdfast.save_workflow_definition(:org, '{
  "name": "article", "version": "1",
  "inputs": ["topic", "formal"],
  "steps": [
    {"id": "outline", "model": "gpt-4o-mini", "input": {"prompt": "Outline {{input.topic}}", "maxTokens": 1000},
     "retry": {"maxAttempts": 3, "delayMs": 0}},
    {"id": "intro", "model": "gpt-4o-mini", "input": {"prompt": "Intro for {{outline.output}}", "maxTokens": 1000}},
    {"id": "polish", "model": "gpt-4o-mini", "condition": "{{input.formal}} == \"yes\"",
     "input": {"prompt": "Polish {{outline.output}}", "maxTokens": 1000}},
    {"id": "page", "action": "template", "input": {"template": "# {{input.topic}}\n{{intro.output}}{{polish.output}}"}}],
  "settings": {"maxTotalCost": 0.5, "timeout": 60000}}');
SELECT name, version, duplicate FROM holdfast.save_workflow_definition(:org, (SELECT definition FROM holdfast.ai_workflows WHERE organization_id = :org));
SELECT holdfast.save_workflow_definition(:org, '{"name": "article", "version": "1", "steps": [{"id": "a", "input": {"prompt": "other"}}]}');
UPDATE holdfast.ai_workflows SET definition = '{}' WHERE organization_id = :org;
INSERT INTO holdfast.ai_workflows (organization_id, name, version, definition)
VALUES (:org, 'ignored', '0', '{"name": "direct", "version": 7, "steps": [{"id": "a", "input": {"prompt": "{{nobody.output}}"}}]}');

-- One hold for all that the run may cost; what is ready is for workers, and what a value holds is text.
SELECT run_id, status, granted, duplicate FROM holdfast.start_run(:org, p_name => 'article', p_user_id => 'ada', p_idempotency_key => 'k1',
    p_input => '{"topic": "{{input.formal}} holds", "formal": "no"}') \gset run_
SELECT :'run_status' AS status, :'run_granted' AS granted;
SELECT run_id = :'run_run_id' AS the_same, duplicate FROM holdfast.start_run(:org, p_name => 'article', p_user_id => 'ada',
    p_idempotency_key => 'k1', p_input => '{"topic": "{{input.formal}} holds", "formal": "no"}');
SELECT holdfast.start_run(:org, p_name => 'article', p_idempotency_key => 'k1', p_input => '{"topic": "x", "formal": "no"}');
SELECT scope, held FROM holdfast.get_budgets(:org) WHERE scope = 'organization';

SELECT step_id, fence, provider, model, prompt, system_prompt, max_tokens, temperature, most_usd, user_id, hold_id
FROM holdfast.claim_step('w1', '{openai,groq}', p_most => 10) \gset c_
SELECT :'c_step_id' AS step_id, :c_fence AS fence, :'c_provider' AS provider, :'c_prompt' AS prompt, :c_max_tokens AS max_tokens, :c_most_usd AS most_usd, :'c_user_id' AS user_id;
SELECT count(*) AS nothing_more FROM holdfast.claim_step('w2', '{openai}');
SELECT scope, held FROM holdfast.get_budgets(:org) WHERE scope = 'organization';
SELECT trim_scale(amount) AS amount, hold_id = :'run_run_id' AS of_the_run FROM holdfast.holds WHERE organization_id = :org ORDER BY hold_id;

-- A transient failure gives the money back and is tried again under a new fence; the old attempt has ended.
SELECT accepted, duplicate, cost, step_status, run_status FROM holdfast.fail_step(:org, :'run_run_id', 'outline', 1, 'overloaded', 'busy', p_transient => true);
SELECT accepted, duplicate, cost, step_status, run_status FROM holdfast.fail_step(:org, :'run_run_id', 'outline', 1, 'overloaded', 'busy', p_transient => true);
SELECT step_id, fence FROM holdfast.claim_step('w1', '{openai}');
SELECT accepted, duplicate, cost, total_cost, step_status, run_status FROM holdfast.complete_step(:org, :'run_run_id', 'outline', 2, 'one {{input.topic}} two', 10, 100, p_latency_ms => 12);
SELECT accepted, duplicate, cost, total_cost, step_status, run_status FROM holdfast.complete_step(:org, :'run_run_id', 'outline', 2, 'one {{input.topic}} two', 10, 100, p_latency_ms => 12);
\set VERBOSITY sqlstate
SELECT holdfast.complete_step(:org, :'run_run_id', 'outline', 2, 'another', 10, 101);
\set VERBOSITY terse
SELECT holdfast.complete_step(:org, :'run_run_id', 'outline', 9, 'x', 1, 1);
SELECT holdfast.complete_step(:org, :'run_run_id', 'nowhere', 1, 'x', 1, 1);
SELECT scope, spent, held FROM holdfast.get_budgets(:org) WHERE scope = 'organization';

-- The condition does not hold, the join goes on without it, and the local step ends the run.
SELECT step_id, prompt FROM holdfast.claim_step('w1', '{openai}', p_most => 10);
SELECT accepted, step_status, run_status FROM holdfast.complete_step(:org, :'run_run_id', 'intro', 1, 'Hello.', 10, 100, p_latency_ms => 12);
SELECT status, total_cost_usd, max_cost_usd, s ->> 'id' AS step, s ->> 'status' AS step_status, s ->> 'attempts' AS attempts, s ->> 'output' AS output, s ->> 'costUSD' AS cost
FROM holdfast.get_run(:'run_run_id', :org), jsonb_array_elements(steps) s;
SELECT event_no, event, step_id FROM holdfast.get_run_events(:'run_run_id', :org);
SELECT event_no, event FROM holdfast.get_run_events(:'run_run_id', :org, 12);
SELECT scope, spent, held FROM holdfast.get_budgets(:org) WHERE scope = 'organization';
SELECT count(*) AS entries, sum(cost) AS cost, min(user_id) AS user_id, count(DISTINCT metadata ->> 'step') AS steps FROM holdfast.ai_usage_ledger WHERE organization_id = :org;
SELECT * FROM holdfast.check_invariants();
