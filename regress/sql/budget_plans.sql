-- Plans give organizations their budgets; a default gives one to every user, key, community, provider or tool.
\set VERBOSITY terse
\set one '\'a3000000-0000-0000-0000-000000000001\''
\set two '\'a3000000-0000-0000-0000-000000000002\''
CREATE VIEW shown AS SELECT right(o::text, 1) AS org, b.scope, b.subject, b.period, b.limit_usd, b.spent, b.held, b.status, b.source
FROM unnest('{a3000000-0000-0000-0000-000000000001,a3000000-0000-0000-0000-000000000002}'::uuid[]) o, LATERAL holdfast.get_budgets(o) b
ORDER BY 1, 2, 3, 4;

-- A plan, and what an organization has already spent when it comes to it.
SELECT holdfast.set_plan_budget('pro', 10), holdfast.set_plan_budget('pro', 2, 'user', '*'),
       holdfast.set_plan_budget('pro', 4, 'tool', 'ebook', 'week', p_soft_limit_usd => 3), holdfast.set_plan_budget('free', 1);
SELECT cost FROM holdfast.record_usage_and_increment(NULL, :one, 'm', 1, 1, 0.5, p_user_id => 'ada', p_tool => 'ebook');
SELECT holdfast.set_organization_plan(:one, 'pro'), holdfast.set_organization_plan(:two, 'pro');
SELECT * FROM shown;

-- Each user has the limit of every user, from the first call on, and the first to pass it is refused.
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 1.75, p_user_id => 'ada');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 1.75, p_user_id => 'bob', p_idempotency_key => 'a3000000-0000-0000-0000-0000000000b0');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 0.5, p_user_id => 'bob');
SELECT cost, overrun FROM holdfast.record_usage_and_increment(NULL, :two, 'm', 1, 1, 2.5, p_user_id => '*');
SELECT * FROM shown;

-- What an organization sets itself goes before the plan, also when the plan changes; what it does not set changes with it.
SELECT holdfast.set_budget(:one, 3, 'user', 'ada') IS NOT NULL AS set, holdfast.set_budget(:two, 20) IS NOT NULL AS set;
SELECT holdfast.set_plan_budget('pro', 12) AS members, holdfast.set_plan_budget('pro', 1.8, 'user', '*') AS members;
SELECT * FROM shown;
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 2.25, p_user_id => 'ada');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 0.1, p_user_id => 'bob');

-- Taken back, the plan's holds again.
SELECT holdfast.remove_budget(:one, 'user', 'ada'), holdfast.remove_budget(:two);
SELECT holdfast.remove_budget(:two);
SELECT * FROM shown;

-- A default of its own, and back.
SELECT holdfast.set_budget(:one, 0.75, 'user', '*') AS no_id, holdfast.set_budget(:one, 5, 'tool', '*', 'none') AS no_id;
SELECT * FROM shown WHERE org = '1';
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 0.8, p_user_id => 'eve');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 0.7, p_user_id => 'eve');
SELECT holdfast.remove_budget(:one, 'user', '*'), holdfast.remove_budget(:one, 'tool', '*', 'none');
SELECT * FROM shown WHERE org = '1';

-- Another plan, and none: what only the old one limited is counted on without a limit.
SELECT holdfast.set_organization_plan(:one, 'free'), holdfast.set_organization_plan(:two, NULL);
SELECT * FROM shown;
SELECT granted, scope, limit_usd FROM holdfast.hold_workflow_cost(NULL, :two, 1000, p_user_id => 'ada');
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :one, 0.01);
SELECT holdfast.set_plan_budget('pro', 1) AS members;
SELECT * FROM holdfast.check_invariants(true);

-- Refused.
SELECT holdfast.set_organization_plan(:one, 'gold');
SELECT holdfast.set_organization_plan(NULL, 'free');
SELECT holdfast.set_plan_budget('', 1);
SELECT holdfast.set_plan_budget('free', -1);
SELECT holdfast.set_plan_budget('free', 1, 'user', 'ada');
SELECT holdfast.set_plan_budget('free', 1, 'workflow', '*');
SELECT holdfast.set_plan_budget('free', 1, 'galaxy', '*');
SELECT holdfast.set_budget(:one, 1, 'workflow', '*', 'day');
SELECT holdfast.set_budget(:one, 1, 'organization', '*');
SELECT holdfast.remove_budget(:one, 'user', 'nobody');
BEGIN;
SELECT set_config('request.jwt.claims', '{"role": "authenticated", "organization_id": "a3000000-0000-0000-0000-000000000001"}', true) IS NOT NULL AS claimed;
SAVEPOINT claimed;
SELECT holdfast.set_plan_budget('free', 1000);
ROLLBACK TO claimed;
SELECT holdfast.set_organization_plan(:two, 'pro');
ROLLBACK;
DROP VIEW shown;
