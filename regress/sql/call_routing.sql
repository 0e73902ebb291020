-- Which provider serves a call, and what stands in for it.
\set VERBOSITY terse
\set org '\'d7000000-0000-0000-0000-000000000001\''
SELECT sha256(convert_to(api_key, 'UTF8')) AS hash FROM holdfast.create_api_key(:org, 'test') \gset
CREATE FUNCTION pg_temp.chain(routing jsonb) RETURNS text LANGUAGE sql AS
    $$ SELECT (routing ->> 'strategy') || ': ' || string_agg((l ->> 'provider') || '/' || (l ->> 'model'), ' > ')
       FROM jsonb_array_elements(routing -> 'chain') l $$;

-- No model named: each provider's own, the cheapest first; ties and repeats give the same order.
SELECT provider, model, estimated_cost, pg_temp.chain(routing), routing ->> 'reason' AS reason
FROM holdfast.open_call(:org, :'hash', 'any', 1000, 1000, p_providers => '{openai,anthropic,groq,deepinfra}',
    p_models => '{gpt-4o-mini,claude-3-5-haiku,llama-3.3-70b,llama-3.1-70b}', p_fallbacks => 2);
SELECT provider, pg_temp.chain(routing), routing ->> 'reason' AS reason
FROM holdfast.open_call(:org, :'hash', 'any', 1000, 1000, p_providers => '{openai,anthropic,groq,deepinfra}',
    p_models => '{gpt-4o-mini,claude-3-5-haiku,llama-3.3-70b,llama-3.1-70b}', p_fallbacks => 1, p_routing => 'fastest');
SELECT provider, pg_temp.chain(routing), routing ->> 'reason' AS reason
FROM holdfast.open_call(:org, :'hash', 'any', 1000, 1000, p_providers => '{openai,anthropic}',
    p_models => '{gpt-4o-mini,claude-3-5-haiku}', p_fallbacks => 1, p_routing => 'specified');
SELECT provider, model, routing -> 'skipped' AS skipped
FROM holdfast.open_call(:org, :'hash', 'any', 1000, 1000, p_providers => '{openai,anthropic,perplexity}',
    p_models => '{gpt-4o-mini,claude-3-5-haiku,sonar}', p_capabilities => '{online-search}');

-- A provider that is named is the first; others stand in for it only when asked to.
SELECT provider, estimated_cost, pg_temp.chain(routing), routing ->> 'reason' AS reason
FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 1000, 1000, 'together', '{together,deepinfra,openai}');
SELECT provider, estimated_cost, pg_temp.chain(routing), routing ->> 'reason' AS reason
FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 1000, 1000, 'deepinfra', '{together,deepinfra,openai}', p_fallbacks => 2);

-- What is refused.
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1, 1, p_providers => '{openai}', p_routing => 'dearest');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1, 1, p_providers => '{openai}', p_fallbacks => 11);
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'any', 1, 1, p_providers => '{openai}', p_models => '{a,b}');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1, 1, p_providers => '{openai}', p_capabilities => '{telepathy}');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'none-such', 1, 1, p_providers => '{openai}');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1, 1, p_providers => '{groq}');
UPDATE holdfast.holds SET expires_at = now() WHERE organization_id = :org;

-- The hold covers the dearest of the chain; where that does not fit, the dearer do not stand in.
SELECT holdfast.create_workflow(:org, p_cost_limit => 0.002) AS workflow \gset
SELECT outcome, estimated_cost, pg_temp.chain(routing)
FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 1000, 1000, p_providers => '{together,deepinfra}', p_fallbacks => 1,
    p_workflow_id => :'workflow', p_idempotency_key => 'k', p_fingerprint => 'body');
SELECT outcome, estimated_cost, pg_temp.chain(routing), remaining
FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 200, 200, p_providers => '{together,deepinfra}', p_fallbacks => 1,
    p_workflow_id => :'workflow');
SELECT count(*) AS denials FROM holdfast.budget_denials WHERE organization_id = :org;

-- The next attempt takes the failed one's place: its hold, its provider's price, its idempotency key.
SELECT hold_id AS first FROM holdfast.holds WHERE call_key = 'k' AND status = 'open' \gset
\set second '\'d7000000-0000-0000-0000-00000000000a\''
\set third '\'d7000000-0000-0000-0000-00000000000b\''
SELECT hold_id, cost FROM holdfast.next_attempt(:org, :'first', :second, 'together', 'llama-3.1-70b', 1000, 1000);
SELECT hold_id, cost FROM holdfast.next_attempt(:org, :'first', :second, 'together', 'llama-3.1-70b', 1000, 1000);
SELECT provider, amount, status, workflow_id = :'workflow' AS same_workflow FROM holdfast.holds
WHERE hold_id IN (:'first', :second) ORDER BY status;
SELECT hold_id FROM holdfast.idempotent_calls WHERE organization_id = :org;

-- One that may have been charged is an entry of its own; when the rest does not fit, nothing has changed.
SELECT hold_id FROM holdfast.next_attempt(:org, :second, :third, 'deepinfra', 'llama-3.1-70b', 5000, 5000,
    p_used_prompt_tokens => 1000, p_used_completion_tokens => 10, p_fallback_used => true);
SELECT status, amount FROM holdfast.holds WHERE hold_id IN (:second, :third);
SELECT hold_id, cost FROM holdfast.next_attempt(:org, :second, :third, 'deepinfra', 'llama-3.1-70b', 1000, 1000,
    p_used_prompt_tokens => 1000, p_used_completion_tokens => 10, p_fallback_used => true, p_metadata => '{"error": "timeout"}');
SELECT hold_id, cost FROM holdfast.next_attempt(:org, :second, :third, 'deepinfra', 'llama-3.1-70b', 1000, 1000,
    p_used_prompt_tokens => 1000, p_used_completion_tokens => 10, p_fallback_used => true, p_metadata => '{"error": "timeout"}');
SELECT cost, total_ai_cost FROM holdfast.settle_call(:org, :third, 'llama-3.1-70b', 900, 100, p_answer_status => 200,
    p_answer => 'said', p_fallback_used => true);
SELECT provider, prompt_tokens, completion_tokens, cost, estimated, fallback_used, metadata
FROM holdfast.ai_usage_ledger WHERE organization_id = :org ORDER BY seq;
SELECT outcome, answer FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 1000, 1000, p_providers => '{together,deepinfra}',
    p_workflow_id => :'workflow', p_idempotency_key => 'k', p_fingerprint => 'body');
SELECT hold_id FROM holdfast.next_attempt(:org, 'd7000000-0000-0000-0000-0000000000ff', :third, 'openai', 'gpt-4o-mini', 1, 1);

-- A provider that is exhausted is not asked, for one model or for all.
SELECT holdfast.pause_provider('deepinfra', '1 hour', 'rate_limit', 'llama-3.1-70b') > now() + interval '59 minutes' AS paused;
SELECT holdfast.pause_provider('deepinfra', '1 second', 'rate_limit', 'llama-3.1-70b') > now() + interval '59 minutes' AS still_paused;
SELECT provider, routing -> 'skipped' AS skipped FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{together,deepinfra}');
SELECT holdfast.pause_provider('together', '1 hour', 'quota_exhausted') > now() AS paused;
SELECT provider FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{together,deepinfra}');
SELECT provider FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, 'deepinfra');
SELECT holdfast.pause_provider('together', '-1 hour', 'x');
DELETE FROM holdfast.provider_pauses;
SELECT provider FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{together,deepinfra}');
UPDATE holdfast.holds SET expires_at = now() WHERE organization_id = :org AND status = 'open';
SELECT * FROM holdfast.check_invariants() WHERE organization_id = :org;
