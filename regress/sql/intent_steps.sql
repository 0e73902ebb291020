-- The seven steps of a workflow on the graph intent, each a run: who gets it, what becomes of the workflow when it ends.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000012\''
\set SHOW_CONTEXT never
SET search_path = pg_catalog, public;
-- Every shipped definition is one, but that no other may deliver, and each state that it names leads where it should.
SELECT s.step, s.place, s.from_state, s.work_states, s.end_states, c.steps, c.max_cost
  FROM holdfast.intent_steps() s, holdfast.check_definition(CASE WHEN s.step = 'publish'
       THEN jsonb_set(s.definition, '{steps,0}', (s.definition #> '{steps,0}') || '{"action": "template", "input": {"template": "x"}}')
       ELSE s.definition END) c ORDER BY s.place;
SELECT count(*) AS ways_that_the_graph_has_not
  FROM holdfast.intent_steps() s, LATERAL (SELECT s.from_state || s.work_states || s.end_states AS path) p, generate_series(1, cardinality(path) - 1) i
 WHERE NOT EXISTS (SELECT FROM holdfast.workflow_transitions t WHERE t.graph = 'intent' AND t.from_state = path[i] AND t.to_state = path[i + 1]);

SELECT holdfast.create_intent_workflow(:org, '{"business": " "}');
SELECT holdfast.create_intent_workflow(:org, '{"business": "Bikes", "colour": "red"}');
SELECT workflow_id AS w, duplicate FROM holdfast.create_intent_workflow(:org, '{"business": "Bikes for couriers."}', NULL, 'one') \gset
SELECT duplicate, workflow_id = :'w' AS same FROM holdfast.create_intent_workflow(:org, '{"business": "Bikes for couriers."}', NULL, 'one');
SELECT holdfast.create_intent_workflow(:org, '{"business": "Cars."}', NULL, 'one');

-- One gets the step; whoever comes then is told the three states. A repeat under its key is the same run.
\set VERBOSITY default
SELECT holdfast.start_intent_step(:'w', :org, 'cluster');
SELECT run_id AS run, step, granted, duplicate FROM holdfast.start_intent_step(:'w', :org, 'icp-generate', '{"maxTokens": 500}', p_user_id => 'ann', p_idempotency_key => 'k1') \gset
SELECT :'step' AS step, :'granted' AS granted, :'duplicate' AS duplicate;
SELECT holdfast.start_intent_step(:'w', :org, 'icp-generate');
\set VERBOSITY terse
SELECT run_id = :'run' AS same, duplicate FROM holdfast.start_intent_step(:'w', :org, 'icp-generate', '{"maxTokens": 500}', p_idempotency_key => 'k1');
SELECT holdfast.start_intent_step(:'w', :org, 'icp-generate', '{"maxTokens": 600}', p_idempotency_key => 'k1');
SELECT holdfast.start_intent_step(:'w', :org, 'icp-generate', '{"colour": 1}');
SELECT holdfast.start_intent_step(:'w', :org, 'nonsense');
SELECT state, step, status, held_cost > 0 AS holds, running ->> 'step' AS running FROM holdfast.get_intent_workflow(:'w', :org);
SELECT attempts, attempt, worker, due_at > now() + interval '12 minutes' AS outlives_its_run FROM holdfast.workflow_leases WHERE workflow_id = :'w';

-- The run completes: the workflow moves with it, its result under the step's name, all else as it was.
CREATE FUNCTION pg_temp.answer(text) RETURNS text LANGUAGE sql AS $$ SELECT jsonb_build_object('summary', $1, 'industries', '["a"]'::jsonb, 'companySize', 'b',
    'roles', '["c"]'::jsonb, 'goals', '["d"]'::jsonb, 'pains', '["e"]'::jsonb, 'triggers', '["f"]'::jsonb, 'objections', '["g"]'::jsonb)::text $$;
SELECT provider, model, max_tokens, temperature, action, prompt LIKE '%Bikes for couriers.%' AS told FROM holdfast.claim_step('w', '{perplexity}', p_organization_id => :org);
UPDATE holdfast.intent_workflows SET workflow_data = workflow_data || '{"own": {"kept": true}}' WHERE id = :'w';
SELECT accepted, run_status FROM holdfast.complete_step(:org, :'run', 'profile', 1, pg_temp.answer('Couriers'), 1000, 400);
SELECT state, total_ai_cost, held_cost, workflow_data - 'icp-generate' AS others, workflow_data #>> '{icp-generate,summary}' AS summary, running, failure
  FROM holdfast.get_intent_workflow(:'w', :org);
SELECT seq, from_state, to_state, actor, reason FROM holdfast.workflow_history WHERE workflow_id = :'w' ORDER BY seq;
SELECT workflow_id = :'w' AS its_own, cost FROM holdfast.ai_usage_ledger WHERE organization_id = :org;

-- It fails: with the error in its history. Only a retry begins it again, as it was asked for, and not from elsewhere.
SELECT run_id AS run FROM holdfast.start_intent_step(:'w', :org, 'competitor-analyze', '{"disableFallback": true, "instructions": "Only in Europe."}') \gset
SELECT provider, model FROM holdfast.claim_step('w', '{perplexity}', p_organization_id => :org);
SELECT accepted, run_status FROM holdfast.fail_step(:org, :'run', 'competitors', 1, 'auth', 'The provider refuses the key.');
SELECT state, held_cost, failure - 'runId' AS failure FROM holdfast.get_intent_workflow(:'w', :org);
SELECT from_state, to_state, reason, result FROM holdfast.workflow_history WHERE workflow_id = :'w' ORDER BY seq DESC LIMIT 1;
SELECT holdfast.start_intent_step(:'w', :org, 'competitor-analyze');
SELECT run_id AS run, step FROM holdfast.start_intent_step(:'w', :org, NULL, p_retry => true) \gset
SELECT prompt LIKE '%Only in Europe.%' AS as_before, prompt LIKE '%"summary": "Couriers"%' OR prompt LIKE '%"summary":"Couriers"%' AS has_profile
  FROM holdfast.claim_step('w', '{perplexity}', p_organization_id => :org);
SELECT run_status FROM holdfast.complete_step(:org, :'run', 'competitors', 1, '{"competitors": [{"name": "A", "website": "", "topics": [], "strengths": [], "weaknesses": []}], "gaps": ["g"]}', 10, 10);
SELECT holdfast.start_intent_step(:'w', :org, NULL, p_retry => true);

-- The seeds have no state of work: one run at a time all the same, and a failed one leaves the workflow where it was.
SELECT run_id AS run FROM holdfast.start_intent_step(:'w', :org, 'seed-extract') \gset
DO $$ DECLARE told text; BEGIN
    PERFORM holdfast.start_intent_step((SELECT workflow_id FROM holdfast.workflow_step_runs WHERE step = 'seed-extract' AND ended_at IS NULL), 'f7000000-0000-0000-0000-000000000012', 'seed-extract');
EXCEPTION WHEN SQLSTATE 'PT409' THEN GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL; RAISE NOTICE 'refused: %', told; END $$;
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}', '{gpt-4o-mini}', p_organization_id => :org);
SELECT run_status FROM holdfast.fail_step(:org, :'run', 'seeds', 1, 'content_filter', 'Refused.');
SELECT state, failure ->> 'code' AS code FROM holdfast.get_intent_workflow(:'w', :org);
SELECT run_id AS run, step FROM holdfast.start_intent_step(:'w', :org, NULL, p_retry => true) \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{openai}', '{gpt-4o-mini}', p_organization_id => :org);
SELECT run_status FROM holdfast.complete_step(:org, :'run', 'seeds', 1, (SELECT jsonb_build_object('keywords', jsonb_agg(jsonb_build_object('keyword', 'k' || i, 'intent', 'commercial', 'reason', ''))) FROM generate_series(1, 5) i)::text, 10, 10);

-- A person reviews them.
SELECT holdfast.review_intent_seeds(:'w', :org, '{}');
SELECT holdfast.review_intent_seeds(:'w', :org, '{a,"  "}');
SELECT state, duplicate FROM holdfast.review_intent_seeds(:'w', :org, '{k1, k2 edited, " k1 "}', 'ann');
SELECT state, duplicate FROM holdfast.review_intent_seeds(:'w', :org, '{k1, k2 edited}', 'ann');
SELECT holdfast.review_intent_seeds(:'w', :org, '{k3}', 'ann');
SELECT workflow_data -> 'review' -> 'keywords' AS keywords FROM holdfast.get_intent_workflow(:'w', :org);

-- Cancelled while it is worked on: the run with it, its hold is free, a late answer is charged and changes nothing.
SELECT run_id AS run FROM holdfast.start_intent_step(:'w', :org, 'cluster') \gset
SELECT prompt LIKE '%["k1","k2 edited"]%' AS reviewed FROM holdfast.claim_step('w', '{openai}', '{gpt-4o-mini}', p_organization_id => :org);
SELECT * FROM holdfast.cancel_workflow(:'w', :org, 'ann', 'enough');
SELECT * FROM holdfast.cancel_workflow(:'w', :org, 'ann');
SELECT accepted, cost > 0 AS charged, run_status FROM holdfast.complete_step(:org, :'run', 'clusters', 1, '{"clusters": []}', 10, 10);
SELECT state, held_cost, workflow_data ? 'cluster' AS has_result FROM holdfast.get_intent_workflow(:'w', :org);
SELECT step, outcome, count(*) FROM holdfast.workflow_step_runs WHERE organization_id = :org GROUP BY step, outcome ORDER BY 1, 2;
SELECT holdfast.start_intent_step(:'w', :org, 'validate');

-- Moved by another meanwhile: the run's end leaves the workflow alone.
SELECT workflow_id AS w FROM holdfast.create_intent_workflow(:org, '{"business": "Bikes"}') \gset
SELECT run_id AS run FROM holdfast.start_intent_step(:'w', :org, 'icp-generate') \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{perplexity}', p_organization_id => :org);
SELECT state FROM holdfast.advance_workflow(:'w', :org, 'ICP_PROCESSING', 'ICP_FAILED');
SELECT accepted, run_status FROM holdfast.complete_step(:org, :'run', 'profile', 1, pg_temp.answer('late'), 10, 10);
SELECT w.state, w.workflow_data ? 'icp-generate' AS has_result, b.outcome FROM holdfast.intent_workflows w JOIN holdfast.workflow_step_runs b ON b.workflow_id = w.id WHERE w.id = :'w';

-- No budget: the step has failed, and says who refused. Nothing stays held.
SELECT workflow_id AS w FROM holdfast.create_intent_workflow(:org, '{"business": "Bikes"}', 0.01) \gset
SELECT step, granted, scope, limit_usd, spent, held FROM holdfast.start_intent_step(:'w', :org, 'icp-generate');
SELECT state, held_cost, failure ->> 'code' AS code FROM holdfast.get_intent_workflow(:'w', :org);

-- The worker is gone for good: the run's time runs out, and the workflow has failed with it.
SELECT workflow_id AS w FROM holdfast.create_intent_workflow(:org, '{"business": "Bikes"}') \gset
SELECT run_id AS run FROM holdfast.start_intent_step(:'w', :org, 'icp-generate') \gset
UPDATE holdfast.workflow_runs SET deadline_at = now() WHERE run_id = :'run';
SELECT holdfast.reap_run_steps();
SELECT state, failure ->> 'code' AS code FROM holdfast.get_intent_workflow(:'w', :org);
SELECT * FROM holdfast.check_invariants();
SELECT count(*) AS leases_left FROM holdfast.workflow_leases WHERE organization_id = :org AND fails_at IS NOT NULL;
BEGIN;
UPDATE holdfast.workflow_step_runs SET ended_at = NULL WHERE run_id = :'run';
SELECT invariant, subject = 'run ' || :'run' || ' of workflow ' || :'w' AS told FROM holdfast.check_invariants();
ROLLBACK;
