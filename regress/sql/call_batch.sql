-- Calls opened in one transaction: each has its own outcome, and what fails has done nothing.
\set VERBOSITY terse
\set org '\'d9b00000-0000-0000-0000-000000000001\''
\set hold '\'d9b00000-0000-0000-0000-00000000aaaa\''
SELECT api_key FROM holdfast.create_api_key(:org, 'test', 'ada') \gset
SELECT sha256(:'api_key') AS hash \gset
SELECT holdfast.create_workflow(:org, p_cost_limit => 0.001) AS workflow \gset
CREATE FUNCTION pg_temp.opened(p_hash bytea, p_model text, p_completion integer, p_workflow uuid, p_key text DEFAULT NULL,
                               OUT outcome text, OUT sqlstate text, OUT has_message boolean, OUT scope text)
    LANGUAGE sql AS $$
    SELECT o.outcome, CASE WHEN o.outcome = 'failed' THEN o.answer::jsonb ->> 'sqlstate' END,
           CASE WHEN o.outcome = 'failed' THEN length(o.answer::jsonb ->> 'message') > 0 END, o.scope
    FROM holdfast.open_call('d9b00000-0000-0000-0000-000000000001', p_hash, p_model, 1000, p_completion, p_providers => '{openai}',
        p_workflow_id => p_workflow, p_idempotency_key => p_key, p_fingerprint => 'body', p_in_batch => true) o
$$;

-- A good one, an unknown key, an unpriced model, over budget, an unknown workflow under a key, a good one.
BEGIN;
SELECT * FROM pg_temp.opened(:'hash', 'gpt-4o-mini', 500, :'workflow', 'first');
SELECT * FROM pg_temp.opened(sha256('another'), 'gpt-4o-mini', 500, :'workflow');
SELECT * FROM pg_temp.opened(:'hash', 'gpt-9', 500, :'workflow', 'second');
SELECT * FROM pg_temp.opened(:'hash', 'gpt-4o-mini', 5000, :'workflow');
SELECT * FROM pg_temp.opened(:'hash', 'gpt-4o-mini', 500, 'd9b00000-0000-0000-0000-00000000dead', 'third');
SELECT * FROM pg_temp.opened(:'hash', 'gpt-4o-mini', 500, :'workflow', 'first');
SELECT * FROM pg_temp.opened(:'hash', 'gpt-4o-mini', -5, :'workflow');
SELECT * FROM pg_temp.opened(:'hash', 'gpt-4o-mini', 500, :'workflow');
COMMIT;

-- Two are held, the denial is on record, and of the failed ones there is no trace.
SELECT status, call_key, amount FROM holdfast.holds WHERE organization_id = :org ORDER BY call_key;
SELECT scope FROM holdfast.budget_denials WHERE organization_id = :org;
SELECT idempotency_key FROM holdfast.idempotent_calls WHERE organization_id = :org;
SELECT spent, held FROM holdfast.budget_counters WHERE organization_id = :org AND scope = 'workflow';

-- Asked for again under the id of its hold, the call is opened once.
SELECT outcome, hold_id, estimated_cost FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 100, 10, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'fourth', p_fingerprint => 'body', p_hold_id => :hold);
SELECT outcome, hold_id, estimated_cost FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 100, 10, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'fourth', p_fingerprint => 'body', p_hold_id => :hold);
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 100, 10, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'fourth', p_fingerprint => 'body');
SELECT count(*) FROM holdfast.holds WHERE organization_id = :org AND call_key = 'fourth';
SELECT * FROM holdfast.check_invariants();

-- Calls for several users go together where nothing of theirs is locked: no budgets but the month's and workflows'.
\set other '\'d9b00000-0000-0000-0000-000000000002\''
SELECT api_key FROM holdfast.create_api_key(:other, 'test') \gset
SELECT sha256(:'api_key') AS hash \gset
CREATE FUNCTION pg_temp.scoped(p_hash bytea) RETURNS boolean LANGUAGE sql AS $$
    SELECT scoped_budgets FROM holdfast.open_call('d9b00000-0000-0000-0000-000000000002', p_hash, 'gpt-4o-mini', 100, 10, p_providers => '{openai}')
$$;
SELECT pg_temp.scoped(:'hash');
SELECT count(holdfast.create_workflow(:other, p_cost_limit => 1)), count(holdfast.set_budget(p_organization_id => :other, p_scope => 'organization', p_limit_usd => 5));
SELECT pg_temp.scoped(:'hash');
SELECT count(holdfast.set_budget(p_organization_id => :other, p_scope => 'user', p_subject => '*', p_limit_usd => 5));
SELECT pg_temp.scoped(:'hash');
