-- How calls go, in one document.

CREATE FUNCTION provider_uses(OUT provider text, OUT chosen_cheapest bigint, OUT chosen_fastest bigint,
                              OUT chosen_specified bigint, OUT tokens bigint, OUT cost_usd numeric,
                              OUT cost_per_1m_tokens numeric)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_provider_uses';
COMMENT ON FUNCTION provider_uses() IS
'Since the server''s start, for each provider: how often each routing strategy chose it for a call, the tokens that were charged and their cost in USD, to 1e-9 a call. Raises 55000 where the library is not preloaded.';

CREATE FUNCTION provider_fallbacks(OUT from_provider text, OUT to_provider text, OUT calls bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_provider_fallbacks';
COMMENT ON FUNCTION provider_fallbacks() IS
'Since the server''s start: how many calls went on with another provider after one had failed. Raises 55000 where the library is not preloaded.';

CREATE FUNCTION get_telemetry() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    empty jsonb := '{"preloaded": false, "metrics": {"providers": {}, "fallbacks": {}, "routing": {}}, "circuitBreakers": {}, "rateLimits": null}';
BEGIN
    RETURN (
        WITH latencies AS MATERIALIZED (SELECT * FROM holdfast.provider_latencies()),
             uses AS MATERIALIZED (SELECT * FROM holdfast.provider_uses()),
             all_chosen AS (SELECT sum(u.chosen_cheapest + u.chosen_fastest + u.chosen_specified) AS calls FROM uses u)
        SELECT jsonb_build_object(
            'preloaded', true,
            'metrics', jsonb_build_object(
                'providers', (SELECT coalesce(jsonb_object_agg(l.provider, jsonb_build_object(
                        'latency', jsonb_build_object('p50', round(l.p50_ms), 'p90', round(l.p90_ms), 'p95', round(l.p95_ms),
                                                      'p99', round(l.p99_ms), 'mean', round(l.mean_ms)),
                        'errorRate', round(l.error_rate::numeric, 4), 'successCount', l.successes, 'errorCount', l.failures,
                        'costPerMToken', round(u.cost_per_1m_tokens, 6))), '{}')
                    FROM latencies l LEFT JOIN uses u USING (provider)),
                'fallbacks', (SELECT coalesce(jsonb_object_agg(f.from_provider || '→' || f.to_provider, f.calls), '{}')
                    FROM holdfast.provider_fallbacks() f),
                'routing', jsonb_build_object(
                    'strategies', (SELECT jsonb_build_object('cheapest', coalesce(sum(u.chosen_cheapest), 0),
                        'fastest', coalesce(sum(u.chosen_fastest), 0), 'specified', coalesce(sum(u.chosen_specified), 0)) FROM uses u),
                    'shares', (SELECT coalesce(jsonb_object_agg(u.provider,
                            round((u.chosen_cheapest + u.chosen_fastest + u.chosen_specified) / c.calls, 4)), '{}')
                        FROM uses u, all_chosen c WHERE c.calls > 0))),
            'circuitBreakers', (SELECT coalesce(jsonb_object_agg(b.provider, jsonb_build_object(
                    'state', b.state, 'failureRate', round(b.failure_rate::numeric, 4), 'avgLatency', round(l.mean_ms),
                    'slowRate', round(b.slow_rate::numeric, 4), 'retryAfterMs', b.retry_after_ms, 'timesOpened', b.times_opened)), '{}')
                FROM holdfast.breakers() b LEFT JOIN latencies l USING (provider)),
            'rateLimits', (SELECT jsonb_build_object('activeKeys', m.active_keys, 'totalViolations', m.violations,
                    'decisions', m.decisions, 'givenUp', m.given_up) FROM holdfast.rate_limit_memory() m)));
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RETURN empty; -- the library is not preloaded: there are no such figures
END $$;
COMMENT ON FUNCTION get_telemetry() IS
'How calls go, for all gateways together: metrics.providers by name {latency in ms of the last five to ten minutes {p50, p90, p95, p99, mean}, errorRate of that time, successCount, errorCount and costPerMToken in USD since the server''s start}, metrics.fallbacks {"from→to": calls}, metrics.routing {strategies, shares of providers}, circuitBreakers, rateLimits. preloaded false: the library is not in shared_preload_libraries, and all of it is empty.';
