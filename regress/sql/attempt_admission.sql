-- Every attempt of a call is one more call of its provider: reported to its breaker, counted on its rate limit.
\set VERBOSITY terse
\set org '\'a7100000-0000-0000-0000-000000000001\''
\set first '\'a7100000-0000-0000-0000-00000000000a\''
\set second '\'a7100000-0000-0000-0000-00000000000b\''
SELECT holdfast.reset_breaker('together') IS NOT NULL AND holdfast.reset_breaker('deepinfra') IS NOT NULL AS reset;
SELECT granted FROM holdfast.hold_workflow_cost(NULL, :org, 0.01, p_idempotency_key => :first, p_provider => 'together');

-- A failed attempt is known before the next one at the same provider is made.
SELECT admitted, trial FROM holdfast.retry_attempt(:org, :first, 100, 100, false, 20);
SELECT admitted, trial FROM holdfast.retry_attempt(:org, :first, 100, 100, false, 20);
SELECT state, calls, failure_rate FROM holdfast.breakers() WHERE provider = 'together';
SELECT count(holdfast.breaker_report('together', false, 20)) FROM generate_series(1, 20);
SELECT admitted, trial FROM holdfast.retry_attempt(:org, :first, 100, 100, false, 20);
-- Where the other's breaker is open, nothing has changed.
SELECT count(holdfast.breaker_report('deepinfra', false, 20)) FROM generate_series(1, 20);
SELECT hold_id FROM holdfast.next_attempt(:org, :first, :second, 'deepinfra', 'llama-3.1-70b', 100, 100);
SELECT hold_id, status FROM holdfast.holds WHERE organization_id = :org;
SELECT holdfast.reset_breaker('deepinfra') AS reset;
SELECT hold_id, trial FROM holdfast.next_attempt(:org, :first, :second, 'deepinfra', 'llama-3.1-70b', 100, 100);
SELECT provider, status FROM holdfast.holds WHERE organization_id = :org ORDER BY hold_id;
SELECT admitted FROM holdfast.retry_attempt(:org, 'a7100000-0000-0000-0000-0000000000ff', 100, 100, false, 20);
SELECT admitted FROM holdfast.retry_attempt(:org, :second, -1, 100, false, 20);
SELECT holdfast.release_call(:org, :second);
SELECT holdfast.reset_breaker('together') AND holdfast.reset_breaker('deepinfra') AS reset;
SELECT * FROM holdfast.check_invariants() WHERE organization_id = :org;
