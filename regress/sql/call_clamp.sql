-- A clamped call asks for what every budget that applies can pay, and not for less.
\set org '\'d1000000-0000-0000-0000-000000000001\''
SELECT api_key, sha256(convert_to(api_key, 'UTF8')) AS hash FROM holdfast.create_api_key(:org, 'test', 'ada') \gset
-- 5000 tokens by the workflow, 3000 by the user, 1000 by the month, which is asked last.
SELECT holdfast.create_workflow(:org, p_cost_limit => 0.003015) AS id \gset
SELECT holdfast.set_budget(:org, 0.001815, 'user', 'ada', 'day') IS NOT NULL AS set, holdfast.set_budget(:org, 0.000615) IS NOT NULL AS set;
SELECT outcome, estimated_cost, completion_tokens, limit_usd, remaining
FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 100, 9000, 'openai', p_workflow_id => :'id', p_user_id => 'ada', p_sizing => 'clamp');
SELECT outcome, completion_tokens, limit_usd
FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 0, 9000, 'openai', p_workflow_id => :'id', p_user_id => 'ada', p_sizing => 'clamp');
-- One denial is on record, and no more was held than granted.
SELECT count(*) FROM holdfast.budget_denials WHERE organization_id = :org;
SELECT DISTINCT held FROM holdfast.get_budgets(:org);
SELECT * FROM holdfast.check_invariants();
