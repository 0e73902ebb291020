-- A ledger that has grown: `entries` of them, over the workflows that are there, half under random keys, half under
-- ids in the order of time as the extension makes them. The counters are moved to fit.
INSERT INTO holdfast.ai_usage_ledger (id, organization_id, workflow_id, idempotency_key, created_at, price_id, prompt_tokens,
    completion_tokens, provider, model, cost, list_cost, total_ai_cost)
SELECT id, organization_id, workflow_id, CASE WHEN keyed THEN id END, now(), 1, 1000, 500, 'openai', 'gpt-4o-mini',
    0.00045, 0.00045, 1
FROM (
    SELECT n % 2 = 0 AS keyed,
        CASE WHEN n % 2 = 0 THEN gen_random_uuid() ELSE
            (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid
        END AS id, bench.organization(w % :organizations) AS organization_id, bench.workflow(w) AS workflow_id
    FROM (SELECT n, 1 + n % :workflows AS w FROM generate_series(:first::bigint, :last::bigint) n) numbers
) entries;

WITH added AS (
    SELECT workflow_id AS budget_id, organization_id, count(*) * 0.00045 AS cost FROM (
        SELECT bench.workflow(1 + n % :workflows) AS workflow_id,
            bench.organization((1 + n % :workflows) % :organizations) AS organization_id
        FROM generate_series(:first::bigint, :last::bigint) n) e GROUP BY 1, 2
), all_added AS (
    SELECT budget_id, organization_id, cost FROM added
    UNION ALL SELECT organization_id, organization_id, sum(cost) FROM added GROUP BY 1, 2
)
UPDATE holdfast.budget_counters c SET spent = spent + a.cost
FROM all_added a
WHERE c.budget_id = a.budget_id AND c.organization_id = a.organization_id
  AND c.slot = (SELECT min(slot) FROM holdfast.budget_counters o
                WHERE o.budget_id = c.budget_id AND o.organization_id = c.organization_id
                  AND o.period_start = c.period_start)
  AND c.period_start IN ('-infinity', date_trunc('month', now() AT TIME ZONE 'UTC')::date);
