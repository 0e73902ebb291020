-- Telemetry: what is counted in shared memory, in one document. Other tests use other providers.
\set org '\'7e1e0000-0000-4000-8000-000000000001\''
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date)
VALUES ('telly', 'm', 1, 3, '2025-01-01'), ('radio', 'm', 2, 2, '2025-01-01');
SELECT api_key FROM holdfast.create_api_key(:org, 'test') \gset
SELECT sha256(:'api_key') AS hash \gset
SELECT hold_id FROM holdfast.open_call(:org, :'hash', 'm', 1000, 1000, p_providers => '{telly,radio}', p_fallbacks => 1) \gset
SELECT cost FROM holdfast.settle_call(:org, :'hold_id', 'm', 1000, 1000, p_provider_ok => true, p_latency_ms => 100);
SELECT hold_id FROM holdfast.open_call(:org, :'hash', 'm', 1000, 1000, p_providers => '{telly,radio}', p_routing => 'specified', p_fallbacks => 1) \gset
SELECT cost FROM holdfast.next_attempt(:org, :'hold_id', '7e1e0000-0000-4000-8000-0000000000f1', 'radio', 'm', 1000, 1000, p_provider_ok => false, p_latency_ms => 50);
SELECT cost, duplicate FROM generate_series(1, 2) n, LATERAL holdfast.settle_call(:org, CASE WHEN n > 0 THEN '7e1e0000-0000-4000-8000-0000000000f1'::uuid END, 'm', 1000, 0,
    p_provider_ok => true, p_latency_ms => 100, p_fallback_used => true);
SELECT * FROM holdfast.provider_uses() WHERE provider IN ('telly', 'radio') ORDER BY 1;
SELECT * FROM holdfast.provider_fallbacks() WHERE from_provider = 'telly';
SELECT jsonb_pretty(jsonb_build_object('radio', t #> '{metrics,providers,radio}', 'telly', t #> '{metrics,providers,telly}',
    'fallbacks', t #> '{metrics,fallbacks,telly→radio}', 'breaker', t #> '{circuitBreakers,telly}'))
FROM holdfast.get_telemetry() t;
SELECT t -> 'preloaded' AS preloaded, (SELECT count(*) FROM jsonb_object_keys(t #> '{metrics,routing,strategies}')) AS strategies,
       (SELECT abs(sum(value::numeric) - 1) < 0.01 FROM jsonb_each_text(t #> '{metrics,routing,shares}')) AS shares,
       (t #>> '{rateLimits,activeKeys}')::bigint > 0 AS active_keys, t -> 'rateLimits' ? 'totalViolations' AS violations
FROM holdfast.get_telemetry() t;

-- There is room for 64 providers: who was used longest ago makes room, so that the newest is always counted.
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date)
SELECT 'station' || n, 'm', 1, 1, '2025-01-01' FROM generate_series(1, 70) n;
SELECT count(*) FROM generate_series(1, 70) n,
    LATERAL holdfast.open_call(:org, :'hash', 'm', 1000, 1000, 'station' || n) o WHERE o.outcome = 'granted';
SELECT count(*) <= 64 AS bounded, bool_or(provider = 'station70' AND chosen_cheapest = 1) AS newest, bool_or(provider = 'telly') AS oldest
FROM holdfast.provider_uses();
