-- In a transaction that is to change nothing nothing is changed, by whichever way it would be.
\set VERBOSITY terse
\set org '\'ca220000-0000-0000-0000-000000000001\''
SELECT api_key AS key FROM holdfast.create_api_key(:org, 'read-only') \gset
SELECT holdfast.set_budget(:org, 10);
SELECT hold_id FROM holdfast.open_call(:org, sha256(:'key'), 'gpt-4o-mini', 10, 10, p_providers => '{openai}') \gset
SET default_transaction_read_only = on;
SELECT outcome FROM holdfast.open_call(:org, sha256(:'key'), 'gpt-4o-mini', 10, 10, p_providers => '{openai}');
SELECT cost FROM holdfast.settle_call(:org, :'hold_id', 'gpt-4o-mini', 10, 10);
SELECT holdfast.release_call(:org, :'hold_id');
SELECT holdfast.extend_hold(:'hold_id', :org, '1 hour');
SELECT granted FROM holdfast.hold_workflow_cost(NULL, :org, 0.01);
SELECT cost FROM holdfast.record_usage_and_increment(NULL, :org, 'gpt-4o-mini', 1, 1);
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), sha256('q'), gen_random_uuid());
SELECT holdfast.check_workflow_cost_limit('ca220000-0000-0000-0000-0000000000ff', 0.01);
RESET default_transaction_read_only;
SELECT status FROM holdfast.holds WHERE organization_id = :org;
SELECT holdfast.release_call(:org, :'hold_id');
SELECT count(*) FROM holdfast.ai_usage_ledger WHERE organization_id = :org;
SELECT * FROM holdfast.check_invariants();
