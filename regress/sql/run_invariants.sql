-- check_invariants() names what is wrong with runs and batches. Good books are broken by force, one at a time.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000031\''
SELECT holdfast.set_budget(:org, 10) = :org AS budget;
CREATE TEMP TABLE definitions AS SELECT '{"name": "two", "inputs": ["x"], "settings": {"maxTotalCost": 0.01}, "steps": [
    {"id": "a", "model": "gpt-4o-mini", "input": {"prompt": "{{input.x}}", "maxTokens": 100}},
    {"id": "b", "model": "gpt-4o-mini", "input": {"prompt": "{{a.output}}", "maxTokens": 100}}]}'::jsonb AS two;
CREATE FUNCTION pg_temp.faults() RETURNS TABLE (invariant text, expected numeric, actual numeric) LANGUAGE sql AS $$
    SELECT invariant, trim_scale(expected), trim_scale(actual) FROM holdfast.check_invariants() WHERE organization_id = 'f7000000-0000-0000-0000-000000000031' $$;
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT two FROM definitions), p_input => '{"x": "go"}') \gset
SELECT hold_id AS hold, fence FROM holdfast.claim_step('w', '{openai}') \gset
SELECT cost FROM holdfast.complete_step(:org, :'run', 'a', 1, 'A', 10, 100);
-- One call under way, one that was lost and is unresolved.
SELECT step_id FROM holdfast.claim_step('w', '{openai}', p_lease => '1 microsecond');
SELECT holdfast.reap_run_steps();
SELECT step_id FROM holdfast.claim_step('w', '{openai}');
SELECT * FROM pg_temp.faults();

BEGIN;
UPDATE holdfast.workflow_runs SET total_cost = total_cost + 0.001 WHERE organization_id = :org;
SELECT * FROM pg_temp.faults();
ROLLBACK;
BEGIN;
UPDATE holdfast.workflow_runs SET drawn = drawn + 0.001 WHERE organization_id = :org;
SELECT invariant, actual - expected AS off FROM pg_temp.faults();
ROLLBACK;
BEGIN;
UPDATE holdfast.workflow_runs SET drawn = drawn - 0.0001, max_cost = max_cost - 0.0001 WHERE organization_id = :org;
SELECT invariant, actual - expected AS off FROM pg_temp.faults();
ROLLBACK;
BEGIN;
UPDATE holdfast.workflow_run_attempts SET outcome = 'completed', amount = 0 WHERE organization_id = :org AND outcome = 'running';
SELECT invariant, actual > expected AS more FROM pg_temp.faults();
ROLLBACK;
-- Money moved from the run's hold to another keeps the counters as they are.
BEGIN;
SELECT holdfast.hold_workflow_cost(NULL, :org, 0.5, p_idempotency_key => 'f7000000-0000-0000-0000-0000000000ff') IS NOT NULL AS held;
UPDATE holdfast.holds SET amount = amount + CASE hold_id WHEN :'run' THEN -0.001 ELSE 0.001 END
WHERE organization_id = :org AND hold_id IN (:'run', 'f7000000-0000-0000-0000-0000000000ff');
SELECT invariant, actual - expected AS off FROM pg_temp.faults();
ROLLBACK;
BEGIN;
UPDATE holdfast.workflow_runs SET ended_at = now(), status = 'completed' WHERE organization_id = :org;
SELECT invariant, expected, actual > 0 AS holds FROM pg_temp.faults();
ROLLBACK;

SELECT cost > 0 AS charged FROM holdfast.complete_step(:org, :'run', 'b', 2, 'B', 10, 100);
SELECT status FROM holdfast.get_run(:'run', :org);
SELECT * FROM pg_temp.faults();
SELECT holdfast.write_off_call(hold_id, :org, 'test') FROM holdfast.unresolved_calls WHERE organization_id = :org;
-- A run that has ended is looked at again when all is.
SELECT count(*) AS violations FROM holdfast.check_invariants(true);
BEGIN;
UPDATE holdfast.workflow_runs SET total_cost = 1 WHERE organization_id = :org AND run_id = :'run';
SELECT invariant, actual FROM holdfast.check_invariants(true) WHERE organization_id = :org;
ROLLBACK;

SELECT batch_id AS batch FROM holdfast.start_run_batch(:org, '[{"x": 1}, {"x": 2}, {"x": 3}]', p_definition => (SELECT two FROM definitions), p_most_active => 2) \gset
SELECT holdfast.tend_run_batches();
SELECT (holdfast.cancel_run(run_id, :org)).status FROM holdfast.list_runs(:org, p_limit => 1);
SELECT * FROM pg_temp.faults();
BEGIN;
UPDATE holdfast.workflow_run_batches SET max_cost = max_cost - 0.01 WHERE organization_id = :org;
SELECT * FROM pg_temp.faults();
ROLLBACK;
BEGIN;
UPDATE holdfast.workflow_runs SET rest_is_due = false WHERE organization_id = :org;
SELECT * FROM pg_temp.faults();
ROLLBACK;
SELECT holdfast.tend_run_batches();
SELECT * FROM pg_temp.faults();
BEGIN;
UPDATE holdfast.workflow_run_batches SET ended_at = now(), status = 'failed' WHERE organization_id = :org;
SELECT * FROM pg_temp.faults();
ROLLBACK;
SELECT holdfast.cancel_run_batch(:'batch', :org);
SELECT count(*) AS open_holds FROM holdfast.holds WHERE organization_id = :org AND status = 'open';
SELECT * FROM holdfast.check_invariants(true);
