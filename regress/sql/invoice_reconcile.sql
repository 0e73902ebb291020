-- The ledger in the orchestrator's names, and beside a provider's invoice.
\set VERBOSITY terse
SET datestyle = 'ISO';
\set org '\'1ed6e000-0000-0000-0000-000000000001\''
BEGIN;
ALTER TABLE holdfast.ai_usage_ledger DISABLE TRIGGER append_only;
DELETE FROM holdfast.ai_usage_ledger;
INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, provider, model, prompt_tokens, completion_tokens, cost, user_id, metadata)
SELECT gen_random_uuid(), :org, at, provider, model, 10, 20, cost, 'ann', '{"k": 1}'
FROM (VALUES (timestamptz '2026-01-31 23:59:59.999999Z', 'groq', 'llama-3.3-70b', 8.0), ('2026-02-01 00:00Z', 'groq', 'llama-3.3-70b', 0.5),
    ('2026-02-01 23:00Z', 'groq', 'groq/llama-3.3-70b', 0.25), ('2026-02-02 00:00Z', 'groq', 'llama-3.3-70b', 1), ('2026-02-28 23:59Z', 'groq', 'other', 0.125),
    ('2026-03-01 00:00Z', 'groq', 'other', 16), ('2026-02-02 00:00Z', 'openai', 'gpt-4o-mini', 32)) e(at, provider, model, cost);
SELECT "timestamp" AT TIME ZONE 'UTC' AS "timestamp", provider, model, tokens_in, tokens_out, cost_usd, workflow_id, user_id,
       cache_hit, fallback_used, anomaly_flag, metadata FROM holdfast.ai_cost_ledger WHERE provider = 'openai';
SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'holdfast.ai_cost_ledger'::regclass AND attnum > 0;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-14', 1.875);
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', 2.0, '[{"day": "2026-02-01", "model": "llama-3.3-70b", "amount": 0.75},
    {"day": "2026-02-02", "model": "llama-3.3-70b-versatile", "amount": "0.5"}, {"day": "2026-02-02", "model": "llama-3.3-70b", "amount": "0.75"}]');
SELECT * FROM holdfast.reconcile_invoice('Groq', '2026-02-01', 2, '[{"model": "llama-3.3-70b", "amount": 1.5}, {"model": "GROQ/llama-3.3-70b", "amount": 0.25}, {"model": "other", "amount": 0.25}]');
SELECT * FROM holdfast.reconcile_invoice('mistral', '2026-02-01', 3);
SAVEPOINT s;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', NULL);
ROLLBACK TO s;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', 1, '{}');
ROLLBACK TO s;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', 1, '[{"model": "x", "amount": "a lot"}]');
ROLLBACK TO s;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', 1, '[{"model": "x", "amount": 1}, {"day": "2026-02-01", "model": "x", "amount": 1}]');
ROLLBACK TO s;
-- Days that no calendar has.
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', 1, '[{"day": "2026-02-29", "model": "x", "amount": 1}]');
ROLLBACK TO s;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-04-01', 1, '[{"day": "2026-04-31", "model": "x", "amount": 1}]');
ROLLBACK TO s;
SELECT * FROM holdfast.reconcile_invoice('groq', '2026-02-01', 1, '[{"day": "0000-01-01", "model": "x", "amount": 1}]');
ROLLBACK TO s;
SELECT part, verdict FROM holdfast.reconcile_invoice('groq', '2024-02-01', 1, '[{"day": "2024-02-29", "model": "x", "amount": 1}]');
-- As many lines as it takes, beside as many entries.
INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, provider, model, prompt_tokens, completion_tokens, cost)
SELECT gen_random_uuid(), :org, timestamptz '2026-05-01Z' + i % 31 * interval '1 day', 'groq', 'model-' || i % 1000, 10, 20, 0.001 FROM generate_series(1, 100000) i;
SELECT part, verdict, count(*), sum(calls) AS calls, sum(ledger_usd) AS ledger_usd, sum(difference_usd) AS difference_usd
FROM holdfast.reconcile_invoice('groq', '2026-05-01', 100.001, (SELECT jsonb_agg(jsonb_build_object('day', date '2026-05-01' + i % 31,
    'model', 'model-' || i % 1000, 'amount', CASE i WHEN 77777 THEN 0.002 ELSE 0.001 END)) FROM generate_series(1, 100000) i)) GROUP BY 1, 2 ORDER BY 1, 2;
ROLLBACK;
