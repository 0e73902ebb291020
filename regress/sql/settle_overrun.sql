-- What no hold covered is overrun: named in the row, and recorded where it passed a limit.
\set org '\'a2000000-0000-0000-0000-000000000001\''

-- A hold runs out, its room is given away, and its settlement comes late: the month is passed, and the books say so.
SELECT holdfast.set_budget(:org, 1) IS NOT NULL AS set, holdfast.set_budget(:org, 2, 'user', 'ada', 'none') IS NOT NULL AS set;
SELECT hold_id AS late FROM holdfast.hold_workflow_cost(NULL, :org, 1, p_ttl => '1 microsecond') \gset
SELECT hold_id AS hold, granted FROM holdfast.hold_workflow_cost(NULL, :org, 1) \gset
\echo :granted
SELECT cost, overrun FROM holdfast.record_usage_and_increment(NULL, :org, 'm', 1, 1, 0.9, p_hold_id => :'late');
SELECT spent, held, remaining FROM holdfast.get_budgets(:org) WHERE scope = 'organization';
SELECT * FROM holdfast.check_invariants();

-- What one entry of a batch gives back, another may use, whichever comes first: no limit was passed.
SELECT holdfast.set_budget(:org, 3) IS NOT NULL AS set;
SELECT holdfast.release_hold(:'hold', :org);
SELECT hold_id AS hold, limit_usd, spent, held FROM holdfast.hold_workflow_cost(NULL, :org, 1.5, p_user_id => 'ada') \gset
SELECT entry, cost, overrun FROM holdfast.record_usage_batch(:org, jsonb_build_array(
    '{"model": "m", "cost": 0.75, "user_id": "ada"}'::jsonb,
    jsonb_build_object('model', 'm', 'cost', 1.25, 'user_id', 'ada', 'hold_id', :'hold')));
SELECT scope, spent, held, remaining FROM holdfast.get_budgets(:org);
SELECT sum(overrun) FROM holdfast.budget_counters WHERE organization_id = :org AND scope = 'user';

-- What was held had its room: the charges without a hold passed the limits, the last of them first.
SELECT hold_id AS hold FROM holdfast.hold_workflow_cost(NULL, :org, 0.05) \gset
SELECT entry, cost, overrun FROM holdfast.record_usage_batch(:org, jsonb_build_array(
    '{"model": "m", "cost": 0.03}'::jsonb, '{"model": "m", "cost": 0.02}'::jsonb, '{"model": "m", "cost": 0.05, "user_id": "ada"}'::jsonb,
    jsonb_build_object('model', 'm', 'cost', 0.05, 'hold_id', :'hold'), '{"model": "m", "cost": 0.01}'::jsonb));
SELECT scope, spent, held, remaining FROM holdfast.get_budgets(:org);
SELECT * FROM holdfast.check_invariants();
