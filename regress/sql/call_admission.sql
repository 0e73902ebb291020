-- A governed call passes rate limits and circuit breakers before anything is held.
\set VERBOSITY terse
\set org '\'ca000000-0000-4000-8000-000000000001\''
SELECT api_key FROM holdfast.create_api_key(:org, 'test', 'ada') \gset
SELECT sha256(:'api_key') AS hash \gset
SELECT holdfast.set_rate_limit('user', 3);

-- The tightest layer is told; a repeat of an answered call counts as well, and reaches no provider.
SELECT outcome, provider, rate_layer, rate_limit, rate_remaining, rate_reset_ms BETWEEN 1 AND 60001 AS reset, trial IS NULL AS no_trial, hold_id
FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}', p_idempotency_key => 'one', p_fingerprint => 'x',
                        p_ip => '192.0.2.70', p_route => 'POST /v1/chat/completions') \gset
SELECT :'outcome' AS outcome, :'rate_layer' AS layer, :'rate_remaining' AS remaining, :'reset' AS reset, :'no_trial' AS no_trial;
SELECT cost FROM holdfast.settle_call(:org, :'hold_id', 'gpt-4o-mini', 10, 5, p_answer_status => 200, p_answer => 'hi');
SELECT outcome, answer, rate_remaining FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}',
    p_idempotency_key => 'one', p_fingerprint => 'x');

-- Refused: nothing is held, the idempotency key is free, PostgREST says 429.
SELECT outcome, rate_remaining FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}');
BEGIN;
SELECT outcome, hold_id, provider, rate_layer, rate_limit, rate_remaining, retry_after_ms BETWEEN 1 AND 60001 AS retry
FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}', p_idempotency_key => 'two', p_fingerprint => 'x');
SELECT current_setting('response.status');
COMMIT;
SELECT count(*) FROM holdfast.idempotent_calls WHERE organization_id = :org AND idempotency_key = 'two';
SELECT count(*) FROM holdfast.holds WHERE organization_id = :org;
SELECT detail - 'retryAfterMs' AS detail, user_id, provider FROM holdfast.get_audit_log(:org, 'limited');
SELECT holdfast.reset_rate_limit('user');

-- A provider whose calls fail: the next cheapest is asked; one that is named is refused.
SELECT provider, hold_id FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{deepinfra,together}') \gset
SELECT :'provider' AS provider, holdfast.release_call(:org, :'hold_id', false, 100);
SELECT state FROM generate_series(1, 9) n, LATERAL holdfast.breaker_report('deepinfra', n < 0, 100) state WHERE state = 'open';
SELECT provider, hold_id FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{deepinfra,together}') \gset
SELECT :'provider' AS provider, cost FROM holdfast.settle_call(:org, :'hold_id', 'llama-3.1-70b', 10, 10, p_provider_ok => true, p_latency_ms => 20);
SELECT provider, successes, failures FROM holdfast.provider_latencies() WHERE provider IN ('deepinfra', 'together');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, 'deepinfra');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{deepinfra}');
SELECT count(*) FROM holdfast.holds WHERE organization_id = :org AND provider = 'deepinfra' AND status = 'open';

-- An operator who knows better closes it.
SELECT holdfast.reset_breaker('deepinfra'), holdfast.reset_breaker('nobody');
SELECT provider FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{deepinfra,together}');
SELECT * FROM holdfast.check_invariants();
