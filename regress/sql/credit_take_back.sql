-- Credits can be taken back as far as they are neither spent nor held; what has run out holds nothing.
\set VERBOSITY terse
\set org '\'d2000000-0000-0000-0000-000000000001\''
SELECT holdfast.grant_credits(:org, 'user:ada', 100);
SELECT granted FROM holdfast.hold_workflow_cost(NULL, :org, 0.5, p_user_id => 'ada', p_ttl => '1 microsecond');
SELECT granted FROM holdfast.hold_workflow_cost(NULL, :org, 0.25, p_user_id => 'ada');
SELECT cost FROM holdfast.record_usage_and_increment(NULL, :org, 'm', 1, 1, 0.25, p_user_id => 'ada');
SELECT balance, held FROM holdfast.credit_balances WHERE organization_id = :org;
SELECT holdfast.grant_credits(:org, 'user:ada', -1000);
SELECT holdfast.grant_credits(:org, 'user:ada', -50.01);
SELECT holdfast.grant_credits(:org, 'user:ada', -50);
SELECT holdfast.grant_credits(:org, 'user:ada', -0.01);
SELECT holdfast.grant_credits(:org, 'user:bob', -1);
SELECT balance, held FROM holdfast.credit_balances WHERE organization_id = :org;
SELECT * FROM holdfast.check_invariants();
