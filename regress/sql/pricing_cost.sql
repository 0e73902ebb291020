-- What a call costs, exactly, under every name of its model.
SELECT provider, model, cost_per_1m_input AS input, cost_per_1m_output AS output, latency_ms, context_tokens, capabilities
FROM holdfast.ai_provider_pricing WHERE shipped ORDER BY provider, model;

SELECT name, holdfast.normalize_model(name) FROM unnest(ARRAY[
    'gpt-4o-mini', 'GPT-4o-Mini', 'openai/gpt-4o-mini', 'gpt-4o-mini-2024-07-18', 'openai/gpt-4o-mini-2024-07-18',
    'claude-3-5-haiku-20241022', 'anthropic/claude-3-5-haiku-latest', 'claude-3-5-haiku@20241022',
    'gemini-1.5-flash-002', 'gemini-1.5-flash-latest', 'mistral-large-2411', 'mistral-large-latest',
    'command-r-08-2024', 'openrouter/anthropic/claude-3.5-sonnet:free', 'perplexity/sonar', 'openrouter/perplexity/sonar',
    'sonar', ' gpt-4o-mini ', 'unknown/Model-X:free', 'gpt-4o']) name;

-- 1,000 tokens in and 500 out cost 1000 x 0.15 / 1e6 + 500 x 0.60 / 1e6.
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 1000, 500);
SELECT holdfast.calculate_cost('gemini', 'gemini-1.5-flash', 1, 1);
SELECT holdfast.calculate_cost('perplexity', 'perplexity/sonar', 1000000, 1000000);
SELECT holdfast.calculate_cost('openrouter', 'perplexity/sonar', 1000000, 1000000);
SELECT holdfast.calculate_cost(NULL, 'gpt-4o-mini', 100000000, 100000000);
SELECT holdfast.calculate_cost('sandbox', 'llama-3.1-70b', 1000000, 0);

-- The same, computed by numeric over random counts.
SELECT count(*) AS different FROM (
    SELECT (random() * 1000000)::integer AS tokens_in, (random() * 1000000)::integer AS tokens_out FROM generate_series(1, 200)) t,
    holdfast.ai_provider_pricing p
WHERE p.shipped AND holdfast.calculate_cost(p.provider, p.model, tokens_in, tokens_out)
    <> (tokens_in * p.cost_per_1m_input + tokens_out * p.cost_per_1m_output) / 1000000;

-- Cached reads, cache writes, reasoning, a fee for the request, a batch discount, a long context.
BEGIN;
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, cost_per_1m_cached_input,
    cost_per_1m_cache_write, cost_per_1m_reasoning, cost_per_request, batch_discount_percent, long_context_tokens,
    cost_per_1m_input_long, cost_per_1m_output_long, effective_date)
VALUES ('anthropic', 'rich', 3, 15, 0.3, 3.75, 20, 0.005, 50, 200000, 6, 22.5, '2026-01-01');
SELECT holdfast.calculate_cost('anthropic', 'rich', 1000, 0) AS plain_1000,
       holdfast.calculate_cost('anthropic', 'rich', 1000, 0, p_cached_tokens => 1000) AS cached_1000,
       holdfast.calculate_cost('anthropic', 'rich', 1000, 0, p_cache_write_tokens => 1000) AS written_1000,
       holdfast.calculate_cost('anthropic', 'rich', 0, 1000, p_reasoning_tokens => 400) AS reasoned_400,
       holdfast.calculate_cost('anthropic', 'rich', 1000, 1000, p_batch => true) AS batch,
       holdfast.calculate_cost('anthropic', 'rich', 200000, 1000) AS at_tier,
       holdfast.calculate_cost('anthropic', 'rich', 200001, 1000) AS above_tier;
ROLLBACK;

-- A new price counts from its day on, and an old call keeps its price.
BEGIN;
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date)
VALUES ('openai', 'gpt-4o-mini', 1, 2, '2026-03-01');
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 1000000, 0, p_at => '2026-02-28 23:59:59.999999+00') AS before,
       holdfast.calculate_cost('openai', 'gpt-4o-mini', 1000000, 0, p_at => '2026-03-01 00:00+00') AS after;
ROLLBACK;
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 1000000, 0) AS rolled_back;
SELECT provider, model, cost_per_1m_input FROM holdfast.list_models('{openai,openrouter}');
SELECT count(*), min(provider), max(provider) FROM holdfast.list_models('{sandbox}');

-- Refused: no price, no price yet, several providers, impossible counts.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT holdfast.calculate_cost('openai', 'gpt-9', 1, 1);
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 1, 1, p_at => '2025-12-31 12:00+00');
SELECT holdfast.calculate_cost(NULL, 'llama-3.1-70b', 1, 1);
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', -1, 1);
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 100000001, 1);
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 10, 1, p_cached_tokens => 11);
SELECT holdfast.calculate_cost('openai', 'gpt-4o-mini', 10, 1, p_reasoning_tokens => 2);
SELECT holdfast.calculate_cost('openai', NULL, 10, 1);
SELECT holdfast.normalize_model('');
SELECT holdfast.normalize_model(repeat('x', 256));

-- Prices are never overwritten.
\set VERBOSITY terse
UPDATE holdfast.ai_provider_pricing SET cost_per_1m_input = 0;
DELETE FROM holdfast.ai_provider_pricing;
TRUNCATE holdfast.ai_provider_pricing;
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output) VALUES ('openai', 'x', 'NaN', 1);
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output) VALUES ('openai', 'x', 0.00000000001, 1);
