-- Prices as of January 2026. Their ids are their own for ever, so that entries of a restored database point at them: what is
-- shipped later has ids from 5000 on, for databases of 0.2.0 and before gave others to users' prices.
INSERT INTO ai_provider_pricing
    (price_id, provider, model, cost_per_1m_input, cost_per_1m_output, effective_date, latency_ms, context_tokens, capabilities, shipped)
VALUES
    (1, 'openai', 'gpt-4o-mini', 0.15, 0.60, '2026-01-01', 1500, 128000, '{text,functions,vision,streaming}', true),
    (2, 'anthropic', 'claude-3-5-haiku', 0.80, 4.00, '2026-01-01', 2000, 200000, '{text,vision,long-context,streaming}', true),
    (3, 'gemini', 'gemini-1.5-flash', 0.075, 0.30, '2026-01-01', 1800, 1000000, '{text,vision,ultra-long-context}', true),
    (4, 'groq', 'llama-3.3-70b', 0.59, 0.79, '2026-01-01', 400, 32000, '{text,fast-inference}', true),
    (5, 'perplexity', 'sonar', 1.00, 1.00, '2026-01-01', 2500, 127000, '{text,online-search,citations}', true),
    (6, 'mistral', 'mistral-large', 2.00, 6.00, '2026-01-01', 1600, 128000, '{text,functions,streaming}', true),
    (7, 'together', 'llama-3.1-70b', 0.88, 0.88, '2026-01-01', 1200, 32000, '{text,streaming}', true),
    (8, 'cohere', 'command-r', 0.50, 1.50, '2026-01-01', 1400, 128000, '{text,embeddings,streaming}', true),
    (9, 'openrouter', 'claude-3.5-sonnet', 3.00, 15.00, '2026-01-01', 2000, 200000, '{text,multi-model,streaming}', true),
    (10, 'deepinfra', 'llama-3.1-70b', 0.35, 0.40, '2026-01-01', 1100, 131000, '{text,streaming}', true),
    (11, 'openrouter', 'perplexity/sonar', 1.00, 2.00, '2026-01-01', 2500, 127000, '{text,online-search,citations}', true);
