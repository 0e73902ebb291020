-- Settlements: recorded in full, once, with every counter moved.
\set VERBOSITY terse
\set org '\'b0000000-0000-0000-0000-000000000001\''
\set key1 '\'b0000000-0000-0000-0000-0000000000f1\''
SELECT holdfast.create_workflow(:org, '{"topic": "rope", "total_ai_cost": 99}') AS workflow \gset

-- By the list, by a given cost, and what the list makes of it.
SELECT cost, total_ai_cost, duplicate, overrun
FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 1000, 500);
SELECT cost, total_ai_cost, duplicate, overrun
FROM holdfast.record_usage_and_increment(:'workflow', :org, 'OpenAI/GPT-4o-mini-2024-07-18', 1000, 500, p_cost => 0.0005,
                                         p_user_id => 'ada', p_metadata => '{"step": "icp"}');
SELECT cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'in-house', 1, 1, p_cost => 0.0001);
SELECT provider, model, price_id IS NOT NULL AS priced, cost, list_cost, total_ai_cost, user_id, metadata
FROM holdfast.ai_usage_ledger WHERE workflow_id = :'workflow' ORDER BY total_ai_cost;
SELECT workflow_data, total_ai_cost FROM holdfast.intent_workflows WHERE id = :'workflow';
SELECT holdfast.get_organization_monthly_ai_cost(:org);
SELECT holdfast.get_organization_monthly_ai_cost(:org, '2020-02-29');

-- A repeat charges nothing; other figures are refused by name.
SELECT ledger_id, cost, total_ai_cost, duplicate
FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 10, p_idempotency_key => :key1);
SELECT ledger_id, cost, total_ai_cost, duplicate
FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 10, p_idempotency_key => :key1);
SELECT duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 11, p_idempotency_key => :key1);
SELECT duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 11, 10, p_idempotency_key => :key1);
SELECT duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o', 10, 10, 1, p_idempotency_key => :key1);
SELECT duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 10, 0.5, p_idempotency_key => :key1);
SELECT duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 10, p_user_id => 'eve', p_idempotency_key => :key1);
SELECT duplicate FROM holdfast.record_usage_and_increment(NULL, :org, 'gpt-4o-mini', 10, 10, p_idempotency_key => :key1);
SELECT count(*) FROM holdfast.ai_usage_ledger WHERE idempotency_key = :key1;

-- A hold is settled below, at and above its amount; the rest is free again.
SELECT holdfast.create_workflow(:org, p_cost_limit => 0.01) AS tight \gset
SELECT hold_id AS hold FROM holdfast.hold_workflow_cost(:'tight', :org, 0.01) \gset
SELECT cost, total_ai_cost, overrun FROM holdfast.record_usage_and_increment(:'tight', :org, 'm', 1, 1, 0.004, p_hold_id => :'hold');
SELECT total_ai_cost, held_cost FROM holdfast.intent_workflows WHERE id = :'tight';
SELECT hold_id AS hold FROM holdfast.hold_workflow_cost(:'tight', :org, 0.006) \gset
SELECT cost, total_ai_cost, overrun FROM holdfast.record_usage_and_increment(:'tight', :org, 'm', 1, 1, 0.009, p_hold_id => :'hold');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:'tight', :org, 0);
SELECT * FROM holdfast.check_invariants();

-- After it ran out, and after it was released: recorded in full, not covered by anything.
SELECT holdfast.create_workflow(:org) AS late \gset
SELECT hold_id AS hold FROM holdfast.hold_workflow_cost(:'late', :org, 0.5, p_ttl => '1 microsecond') \gset
SELECT granted FROM holdfast.hold_workflow_cost(:'late', :org, 1);
SELECT cost, total_ai_cost, overrun FROM holdfast.record_usage_and_increment(:'late', :org, 'm', 1, 1, 0.5, p_hold_id => :'hold');
SELECT cost, total_ai_cost, overrun FROM holdfast.record_usage_and_increment(:'late', :org, 'm', 1, 1, 0.25, p_hold_id => :'hold');
SELECT status FROM holdfast.holds WHERE hold_id = :'hold';
SELECT * FROM holdfast.check_invariants();

-- Without a hold only what passes a limit is overrun.
SELECT holdfast.create_workflow(:org, p_cost_limit => 1) AS unheld \gset
SELECT overrun FROM holdfast.record_usage_and_increment(:'unheld', :org, 'm', 1, 1, 0.9);
SELECT overrun FROM holdfast.record_usage_and_increment(:'unheld', :org, 'm', 1, 1, 0.3);
SELECT overrun FROM holdfast.record_usage_and_increment(:'unheld', :org, 'm', 1, 1, 0.3);
SELECT holdfast.check_workflow_cost_limit(:'unheld', 0);

-- Outside any workflow; adjustments; a hold of another workflow.
SELECT cost, total_ai_cost FROM holdfast.record_usage_and_increment(NULL, :org, 'gpt-4o-mini', 1000, 0);
SELECT holdfast.increment_workflow_cost(:'unheld', -0.5), holdfast.increment_workflow_cost(:'unheld', 0.125);
SELECT holdfast.increment_workflow_cost(:'unheld', -2);
SELECT hold_id AS hold FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.1) \gset
\set VERBOSITY sqlstate
SELECT cost FROM holdfast.record_usage_and_increment(:'tight', :org, 'm', 1, 1, 0.1, p_hold_id => :'hold');
\set VERBOSITY terse
SELECT status FROM holdfast.holds WHERE hold_id = :'hold';
SELECT * FROM holdfast.check_invariants();

-- Append-only for everyone, also where ordinary triggers sleep.
UPDATE holdfast.ai_usage_ledger SET cost = 0;
DELETE FROM holdfast.ai_usage_ledger WHERE false;
TRUNCATE holdfast.ai_usage_ledger;
SET session_replication_role = replica;
UPDATE holdfast.ai_usage_ledger SET cost = 0;
DELETE FROM holdfast.ai_usage_ledger;
TRUNCATE holdfast.ai_usage_ledger;
RESET session_replication_role;
UPDATE holdfast.budget_denials SET requested = 0;
