-- Answers of steps that have a schema: read, refused once with the fault told, then failed; each that was charged is an entry.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000011\''
CREATE TEMP TABLE definitions AS SELECT '{"name": "formed", "steps": [
    {"id": "a", "model": "gpt-4o-mini", "input": {"prompt": "List names.", "maxTokens": 100},
     "schema": {"type": "object", "required": ["names"], "additionalProperties": false,
                "properties": {"names": {"type": "array", "minItems": 2, "items": {"type": "string"}}}}}]}'::jsonb AS formed;

-- A schema is checked when the definition is saved.
\set VERBOSITY default
SELECT holdfast.check_definition((SELECT jsonb_set(formed, '{steps,0,schema,pattern}', '"x"') FROM definitions));
\set VERBOSITY terse

-- The form goes with the prompt; of the answer the JSON is kept.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT formed FROM definitions)) \gset
SELECT prompt, schema FROM holdfast.claim_step('w', '{openai}');
SELECT accepted, step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, E'Here it is [1]:\n```json\n{"names": ["Ann", "Bob"]}\n```\nAnything else?', 10, 20);
SELECT status, steps -> 0 ->> 'output' AS output FROM holdfast.get_run(:'run', :org);

-- What does not fit is charged, and asked for once more with the fault named.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT formed FROM definitions)) \gset
SELECT fence FROM holdfast.claim_step('w', '{openai}');
SELECT accepted, duplicate, cost > 0 AS charged, step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, '{"names": ["Ann"]}', 10, 20);
SELECT accepted, duplicate, cost > 0 AS charged, step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, '{"names": ["Ann"]}', 10, 20);
SELECT fence, split_part(prompt, E'\n\n', 3) AS told FROM holdfast.claim_step('w', '{openai}');
SELECT accepted, step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 2, '{"names": ["Ann", "Bob"]}', 30, 20);
SELECT event, detail ->> 'code' AS code, detail ->> 'message' AS message FROM holdfast.get_run_events(:'run', :org) WHERE event LIKE 'step.%';
SELECT fence, outcome, cost > 0 AS charged, error ->> 'code' AS code FROM holdfast.workflow_run_attempts WHERE run_id = :'run' ORDER BY fence;

-- The second that does not fit fails the step, whatever its retry allows.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT jsonb_set(formed, '{steps,0,retry}', '{"maxAttempts": 5}') FROM definitions)) \gset
SELECT fence FROM holdfast.claim_step('w', '{openai}');
SELECT step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'I cannot {do that', 10, 20);
SELECT fence, split_part(prompt, E'\n\n', 3) AS told FROM holdfast.claim_step('w', '{openai}');
SELECT step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 2, '{"names": ["Ann", "Bob"], "more": true}', 30, 20);
SELECT status, error FROM holdfast.get_run(:'run', :org);
SELECT count(*) AS entries, sum(cost) = max(r.total_cost_usd) AS all_told FROM holdfast.ai_usage_ledger l, holdfast.get_run(:'run', :org) r
 WHERE l.organization_id = :org AND l.metadata ->> 'run_id' = :'run';
SELECT * FROM holdfast.check_invariants();
