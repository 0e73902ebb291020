-- Budgets of every scope and period, credits, refunds, batches.
\set VERBOSITY terse
\set org '\'a1000000-0000-0000-0000-000000000001\''
\set community '\'a1000000-0000-0000-0000-0000000000c1\''
INSERT INTO holdfast.intent_workflows (id, organization_id, cost_limit) VALUES ('a1000000-0000-0000-0000-0000000000a1', :org, 100);
\set id '\'a1000000-0000-0000-0000-0000000000a1\''
SELECT cost FROM holdfast.record_usage_and_increment(:id, :org, 'm', 1, 1, 0.5, p_user_id => 'ada', p_provider => 'openai', p_tool => 'ebook');

-- A new budget begins with what its period has already seen.
SELECT holdfast.set_budget(:org, 2, 'user', 'ada', 'day', p_soft_limit_usd => 1) IS NOT NULL AS set;
SELECT holdfast.set_budget(:org, 3, 'provider', 'openai', 'week') IS NOT NULL AS set;
SELECT holdfast.set_budget(:org, 4, 'tool', 'ebook', 'none') IS NOT NULL AS set;
SELECT holdfast.set_budget(:org, 5, 'community', :community, 'month') IS NOT NULL AS set;
SELECT holdfast.set_budget(:org, NULL, 'workflow', :id, 'day') IS NOT NULL AS set;
SELECT holdfast.set_budget(:org, 20) IS NOT NULL AS set;
SELECT scope, subject, period, limit_usd, spent, held, remaining, status FROM holdfast.get_budgets(:org);

-- Each refuses in its turn, and then nothing is held anywhere.
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:id, :org, 1.75, p_user_id => 'ada');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:id, :org, 2.75, p_provider => 'openai');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:id, :org, 3.75, p_tool => 'ebook');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:id, :org, 5.25, p_community_id => :community);
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:id, :org, 19.75);
SELECT sum(held) AS held FROM holdfast.get_budgets(:org);
SELECT hold_id AS hold, granted, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:id, :org, 1, p_user_id => 'ada', p_provider => 'openai',
    p_tool => 'ebook', p_community_id => :community) \gset
SELECT scope, spent, held, status FROM holdfast.get_budgets(:org);
SELECT cost, overrun FROM holdfast.record_usage_and_increment(:id, :org, 'm', 1, 1, 0.75, p_hold_id => :'hold', p_user_id => 'ada',
    p_provider => 'openai', p_tool => 'ebook', p_community_id => :community);
SELECT scope, spent, held, status FROM holdfast.get_budgets(:org);

-- The shared month: many small holds to the last cent, from whichever slot.
SELECT count(*) FILTER (WHERE h.granted) AS granted, count(*) FILTER (WHERE NOT h.granted) AS refused
FROM generate_series(1, 200) i, LATERAL holdfast.hold_workflow_cost(NULL, :org, 0.1 + 0 * i) h;
SELECT spent, held, remaining, status FROM holdfast.get_budgets(:org) WHERE scope = 'organization';
SELECT count(holdfast.release_hold(hold_id, :org)) FROM holdfast.holds WHERE organization_id = :org AND amount = 0.1;
SELECT spent, held, remaining, status FROM holdfast.get_budgets(:org) WHERE scope = 'organization';

-- Credits: one more scope, from the first grant on.
SELECT holdfast.grant_credits(:org, 'user:bob', 50, 'welcome', 'a1000000-0000-0000-0000-0000000000d1') AS balance;
SELECT holdfast.grant_credits(:org, 'user:bob', 50, 'welcome', 'a1000000-0000-0000-0000-0000000000d1') AS repeated;
SELECT holdfast.grant_credits(:org, 'user:bob', 60, 'welcome', 'a1000000-0000-0000-0000-0000000000d1');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :org, 0.6, p_user_id => 'bob');
SELECT hold_id AS hold FROM holdfast.hold_workflow_cost(NULL, :org, 0.5, p_user_id => 'bob') \gset
SELECT account, balance, held FROM holdfast.credit_balances WHERE organization_id = :org;
SELECT holdfast.grant_credits(:org, 'user:bob', -1);
SELECT cost FROM holdfast.record_usage_and_increment(NULL, :org, 'm', 1, 1, 0.2, p_hold_id => :'hold', p_user_id => 'bob');
SELECT account, balance, held FROM holdfast.credit_balances WHERE organization_id = :org;
SELECT kind, credits, reason FROM holdfast.credit_ledger WHERE organization_id = :org ORDER BY created_at, credits DESC;
SELECT holdfast.grant_credits(:org, 'nobody', 5);
SELECT holdfast.grant_credits(:org, 'user:bob', 'NaN');

-- Refunds point at what they take back, at most all of it.
SELECT id AS entry FROM holdfast.ai_usage_ledger WHERE organization_id = :org AND cost = 0.75 \gset
SELECT cost, total_ai_cost FROM holdfast.refund_usage(:'entry', :org, 0.5, 'bad answer');
SELECT cost, total_ai_cost FROM holdfast.refund_usage(:'entry', :org);
\set VERBOSITY sqlstate
SELECT holdfast.refund_usage(:'entry', :org);
SELECT holdfast.refund_usage(:'entry', :org, -1);
SELECT holdfast.refund_usage(gen_random_uuid(), :org);
\set VERBOSITY terse
SELECT scope, spent FROM holdfast.get_budgets(:org);
SELECT kind, cost, corrects = :'entry' AS points, metadata FROM holdfast.ai_usage_ledger WHERE organization_id = :org AND kind = 'refund' ORDER BY cost;

-- A batch: each entry has its own outcome.
SELECT entry, ledger_id, cost, total_ai_cost, duplicate, overrun, sqlstate, error, detail FROM holdfast.record_usage_batch(:org, '[
    {"workflow_id": "a1000000-0000-0000-0000-0000000000a1", "model": "gpt-4o-mini", "prompt_tokens": 1000, "completion_tokens": 500, "idempotency_key": "a1000000-0000-0000-0000-0000000000e1"},
    {"workflow_id": "a1000000-0000-0000-0000-0000000000a1", "model": "gpt-4o-mini", "prompt_tokens": 1000, "completion_tokens": 500, "idempotency_key": "a1000000-0000-0000-0000-0000000000e1"},
    {"workflow_id": "a1000000-0000-0000-0000-0000000000a1", "model": "gpt-4o-mini", "prompt_tokens": 1001, "completion_tokens": 500, "idempotency_key": "a1000000-0000-0000-0000-0000000000e1"},
    {"model": "gpt-4o-mini", "prompt_tokens": -1, "idempotency_key": "a1000000-0000-0000-0000-0000000000e2"},
    {"model": "gpt-9", "idempotency_key": "a1000000-0000-0000-0000-0000000000e3"},
    {"model": "m", "cost": 0.25, "idempotency_key": "a1000000-0000-0000-0000-0000000000e4", "user_id": "ada", "metadata": {"step": 4}},
    {"workflow_id": "a1000000-0000-0000-0000-00000000dead", "model": "m", "cost": 1},
    {"model": "m", "cost": true}, {"model": "m", "cost": "0.125", "idempotency_key": "a1000000-0000-0000-0000-0000000000e5"}, {"model": 7}, {"model": "m", "cost": 0.1, "prompt_tokens": 1.5},
    {"model": "m", "cost": 0.1, "idempotency_key": "nonsense"}, 17, {}]');
SELECT entry, duplicate, cost FROM holdfast.record_usage_batch(:org, '[{"model": "m", "cost": 0.25, "idempotency_key": "a1000000-0000-0000-0000-0000000000e4", "user_id": "ada"}]');
SELECT count(*) FROM holdfast.record_usage_batch(:org, '[]');
SELECT holdfast.record_usage_batch(:org, '{}');
SELECT holdfast.record_usage_batch(:org, (SELECT jsonb_agg('{}'::jsonb) FROM generate_series(1, 10001)));
SELECT total_ai_cost FROM holdfast.intent_workflows WHERE id = :id;

-- Refused.
SELECT holdfast.set_budget(:org, 1, 'galaxy', 'x');
SELECT holdfast.set_budget(:org, 1, 'user', '');
SELECT holdfast.set_budget(:org, 1, 'organization', 'x');
SELECT holdfast.set_budget(:org, 1, 'api_key', 'not-a-uuid');
SELECT holdfast.set_budget(:org, 1, p_soft_limit_usd => -1);
SELECT holdfast.set_budget(:org, 1, p_downgrade_at_usd => 1);
SELECT * FROM holdfast.check_invariants();
