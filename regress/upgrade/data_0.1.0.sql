-- Rows in every table of 0.1.0, written as its functions wrote them, the books right.
\set org '\'d1000000-0000-4000-8000-000000000001\''
\set month 'date_trunc(\'month\', now() AT TIME ZONE \'UTC\')::date'
SELECT holdfast.set_budget(:org, 10);
SELECT holdfast.set_budget('d1000000-0000-4000-8000-000000000002', NULL);
INSERT INTO holdfast.intent_workflows (id, organization_id, workflow_data, cost_limit)
VALUES ('d1000000-0000-4000-8000-0000000000a1', :org, '{"topic": "rope"}', 2), ('d1000000-0000-4000-8000-0000000000a2', :org, '{}', 1);
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date)
VALUES ('acme', 'rope', 1.5, 2.5, '2025-01-01');
SELECT count(holdfast.create_api_key(:org, name)) FROM unnest('{one,two}'::text[]) name;
INSERT INTO holdfast.ai_usage_ledger (id, organization_id, workflow_id, idempotency_key, created_at, price_id, prompt_tokens,
    completion_tokens, provider, model, user_id, cost, list_cost, total_ai_cost, metadata)
SELECT ('d1000000-0000-4000-8000-' || lpad((1000 + n)::text, 12, '0'))::uuid, :org, 'd1000000-0000-4000-8000-0000000000a1',
    CASE WHEN n % 2 = 0 THEN ('d1000000-0000-4000-8000-' || lpad((1000 + n)::text, 12, '0'))::uuid END, now(),
    (SELECT price_id FROM holdfast.ai_provider_pricing WHERE model = 'rope'), 10, 5, 'acme', 'rope', 'ada', 0.01, 0.0000275, 0.01 * n,
    jsonb_build_object('n', n)
FROM generate_series(1, 50) n;
INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, prompt_tokens, completion_tokens, cost, kind)
VALUES ('d1000000-0000-4000-8000-000000002000', :org, now(), 0, 0, 0.25, 'adjustment');
INSERT INTO holdfast.holds (organization_id, hold_id, workflow_id, amount, created_at, expires_at, user_id, budget_ids, period_starts)
VALUES (:org, 'd1000000-0000-4000-8000-0000000000f1', 'd1000000-0000-4000-8000-0000000000a1', 0.30, now(), now() + interval '10 hours', 'ada',
    ARRAY['d1000000-0000-4000-8000-0000000000a1', :org]::uuid[], ARRAY['-infinity', :month]::date[]),
    (:org, 'd1000000-0000-4000-8000-0000000000f2', 'd1000000-0000-4000-8000-0000000000a2', 0.40, now(), now() - interval '1 hour', NULL,
    ARRAY['d1000000-0000-4000-8000-0000000000a2', :org]::uuid[], ARRAY['-infinity', :month]::date[]);
INSERT INTO holdfast.holds (organization_id, hold_id, workflow_id, amount, status, created_at, expires_at, ended_at, budget_ids, period_starts)
VALUES (:org, 'd1000000-0000-4000-8000-0000000000f3', NULL, 0.40, 'released', now(), now(), now(), ARRAY[:org]::uuid[], ARRAY[:month]::date[]);
INSERT INTO holdfast.budget_denials (organization_id, denial_id, created_at, scope, requested, limit_usd, spent, held)
VALUES (:org, gen_random_uuid(), now(), 'workflow', 5, 1, 0.5, 0.3);
INSERT INTO holdfast.idempotent_calls (organization_id, idempotency_key, fingerprint, hold_id, created_at, answer_status, answer)
VALUES (:org, 'again', '\x01', 'd1000000-0000-4000-8000-0000000000f3', now(), 200, 'fine');
INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, limit_usd)
VALUES (:org, :org, :month, 'organization', 10) ON CONFLICT DO NOTHING;
UPDATE holdfast.budget_counters SET spent = 0.75, held = 0.70 WHERE budget_id = :org;
UPDATE holdfast.budget_counters SET spent = 0.50, held = 0.30 WHERE budget_id = 'd1000000-0000-4000-8000-0000000000a1';
UPDATE holdfast.budget_counters SET held = 0.40 WHERE budget_id = 'd1000000-0000-4000-8000-0000000000a2';
