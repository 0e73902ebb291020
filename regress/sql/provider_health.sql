-- Circuit breakers and latencies of providers.

-- Nine failures are too few to judge, the tenth opens.
SELECT provider, state FROM (SELECT 'acme' AS provider, holdfast.breaker_report('acme', false, 100) AS state
    FROM generate_series(1, 9)) reports GROUP BY 1, 2;
SELECT * FROM holdfast.breaker_admit('acme');
SELECT holdfast.breaker_report('acme', false, 100);
SELECT admitted, state, trial, retry_after_ms BETWEEN 50000 AND 60000 AS a_minute FROM holdfast.breaker_admit('acme');

-- Slow calls open it as well; half of them are not above half.
SELECT holdfast.breaker_report('rope', true, CASE WHEN n % 2 = 0 THEN 5001 ELSE 5000 END) AS state, count(*)
FROM generate_series(1, 20) n GROUP BY 1;
SELECT holdfast.breaker_report('rope', true, 5001);
SELECT provider, state, calls, failure_rate, slow_rate, trials_out, times_opened FROM holdfast.breakers()
WHERE provider IN ('acme', 'rope');

-- A breaker knows one database's providers; another provider is let through.
SELECT * FROM holdfast.breaker_admit('other');
SELECT holdfast.breaker_give_back('other', 1);

-- Percentiles are within one percent, the mean is exact.
SELECT count(holdfast.breaker_report('hemp', true, n)) FROM generate_series(1, 1000) n;
SELECT count(holdfast.breaker_report('hemp', false, 60000)) FROM generate_series(1, 250);
SELECT provider, calls, error_rate, abs(p50_ms - 500) <= 5 AS p50, abs(p90_ms - 900) <= 9 AS p90, abs(p95_ms - 950) <= 9.5 AS p95,
       abs(p99_ms - 990) <= 9.9 AS p99, mean_ms, successes, failures
FROM holdfast.provider_latencies() WHERE provider = 'hemp';
SELECT provider, calls, error_rate, p50_ms, mean_ms FROM holdfast.provider_latencies() WHERE provider = 'acme';

-- What is no report.
SELECT holdfast.breaker_report('acme', true, -1);
SELECT holdfast.breaker_report('', true, 1);
SELECT holdfast.breaker_report('acme', NULL, 1);
SELECT holdfast.breaker_admit(NULL);
