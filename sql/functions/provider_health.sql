-- How providers are doing, in shared memory: the same for all gateways, forgotten at a restart of the server.

CREATE FUNCTION breaker_admit(p_provider text, OUT admitted boolean, OUT state text, OUT trial bigint,
                              OUT retry_after_ms integer)
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_breaker_admit';
COMMENT ON FUNCTION breaker_admit(text) IS
'Whether a call of the provider may be made now. state is closed, open or half_open; half-open lets three trial calls through, and trial (else NULL) has to be given to breaker_report(). retry_after_ms is how long a call that was refused should wait. Raises PT400, and 55000 where the library is not in shared_preload_libraries.';

CREATE FUNCTION breaker_report(p_provider text, p_ok boolean, p_latency_ms integer, p_trial bigint DEFAULT NULL)
    RETURNS text
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_breaker_report';
COMMENT ON FUNCTION breaker_report(text, boolean, integer, bigint) IS
'Tells how a call of the provider ended and returns the breaker''s state after it. Above 50 percent of failed, or of slow (over 5 s), calls in the last minute, of at least 10, the breaker opens for a minute; three good trials close it, one bad or slow one opens it again (settings holdfast.breaker_…). Raises PT400, 55000.';

CREATE FUNCTION breaker_give_back(p_provider text, p_trial bigint) RETURNS boolean
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_breaker_give_back';
COMMENT ON FUNCTION breaker_give_back(text, bigint) IS
'Gives back a trial of breaker_admit() that never became a call, so that another call can be it. True. One that is neither reported nor given back makes room after holdfast.breaker_trial_patience_ms. Raises PT400, 55000.';

CREATE FUNCTION reset_breaker(p_provider text) RETURNS boolean
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_reset_breaker';
COMMENT ON FUNCTION reset_breaker(text) IS
'Closes a provider''s circuit breaker by hand and forgets what was measured of it. Whether anything was known. Raises PT400, 55000.';

CREATE FUNCTION breakers(OUT provider text, OUT state text, OUT calls integer, OUT failure_rate double precision,
                         OUT slow_rate double precision, OUT trials_out integer, OUT retry_after_ms integer,
                         OUT times_opened bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_breakers';
COMMENT ON FUNCTION breakers() IS
'The circuit breaker of each provider that was called since the server''s start: its state, the calls in its window and the shares of them (0 to 1) that failed or were slow, the trials that are out, how long it still refuses, and how often it opened. Raises 55000.';

CREATE FUNCTION provider_latencies(OUT provider text, OUT calls bigint, OUT error_rate double precision,
                                   OUT p50_ms double precision, OUT p90_ms double precision, OUT p95_ms double precision,
                                   OUT p99_ms double precision, OUT mean_ms double precision, OUT successes bigint,
                                   OUT failures bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_provider_latencies';
COMMENT ON FUNCTION provider_latencies() IS
'How long calls of each provider took, in ms, in the last five to ten minutes: percentiles (within 1 percent) and mean of those that went well, calls and the share of them that failed; successes and failures count since the server''s start. Raises 55000.';
