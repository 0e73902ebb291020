-- import_pricing() takes LiteLLM's catalog as it is, and puts nothing in force unseen.
\set VERBOSITY terse
SET datestyle = 'ISO';
\set catalog `cat regress/data/litellm_model_prices_sample.json`
BEGIN;
CREATE TEMP TABLE source AS SELECT :'catalog'::jsonb AS json;
SELECT (SELECT count(*) FROM jsonb_object_keys(json)) AS entries FROM source;
SELECT proposal_id, new, changed, unchanged, skipped, exceeding, largest_change_percent, applied
FROM source, holdfast.import_pricing(json, '2026-08-01') \gset
SELECT :new AS new, :changed AS changed, :unchanged AS unchanged, :skipped AS skipped, :exceeding AS exceeding,
       :largest_change_percent AS largest, :'applied' AS applied;
-- Nothing is in force yet.
SELECT count(*) FROM holdfast.ai_provider_pricing WHERE effective_date = '2026-08-01';
SELECT catalog_id, reason FROM holdfast.price_proposal_entries WHERE proposal_id = :proposal_id AND outcome = 'skipped' ORDER BY catalog_id;
SELECT catalog_id, provider, model, outcome, change_percent, exceeds FROM holdfast.price_proposal_entries
WHERE proposal_id = :proposal_id AND outcome IN ('changed', 'unchanged') ORDER BY catalog_id;
-- Every price is the catalog's, exactly, token by token.
SELECT count(*) AS compared, count(*) FILTER (WHERE e.cost_per_1m_input <> (json -> e.catalog_id ->> 'input_cost_per_token')::numeric * 1000000
    OR e.cost_per_1m_output <> (json -> e.catalog_id ->> 'output_cost_per_token')::numeric * 1000000) AS different
FROM source, holdfast.price_proposal_entries e WHERE proposal_id = :proposal_id AND outcome <> 'skipped';
SELECT provider, model, cost_per_1m_input AS input, cost_per_1m_output AS output, cost_per_1m_cached_input AS cached,
       cost_per_1m_cache_write AS write, cost_per_1m_reasoning AS reasoning, cost_per_request AS fee, batch_discount_percent AS batch
FROM holdfast.price_proposal_entries WHERE proposal_id = :proposal_id AND catalog_id IN ('gpt-4o', 'perplexity/sonar-deep-research',
    'claude-sonnet-4-5', 'rerank-v3.5', 'perplexity/search', 'together_ai/BAAI/bge-base-en-v1.5', 'gemini/gemini-2.5-flash',
    'text-embedding-3-small', 'openrouter/anthropic/claude-3.5-sonnet', 'gemini-1.5-pro') ORDER BY catalog_id;
SELECT catalog_id, long_context_tokens AS above, cost_per_1m_input_long AS input, cost_per_1m_output_long AS output,
       cost_per_1m_cached_input_long AS cached, reason
FROM holdfast.price_proposal_entries WHERE proposal_id = :proposal_id AND long_context_tokens IS NOT NULL AND outcome <> 'skipped' ORDER BY catalog_id;

-- More than the set size is refused with figures, unless forced; the old price stays for old calls.
\set VERBOSITY default
\set SHOW_CONTEXT never
SAVEPOINT before;
SELECT holdfast.apply_price_proposal(:proposal_id);
ROLLBACK TO before;
SELECT holdfast.import_pricing(json, '2026-08-01', 10, p_apply => true) FROM source;
ROLLBACK TO before;
\set VERBOSITY terse
SELECT holdfast.apply_price_proposal(:proposal_id, p_force => true) = :new + :changed AS applied;
SELECT model, effective_date, cost_per_1m_input, cost_per_1m_output, latency_ms, capabilities
FROM holdfast.ai_provider_pricing WHERE provider = 'cohere' AND model = 'command-r' ORDER BY effective_date;
SELECT holdfast.calculate_cost('cohere', 'command-r', 1000000, 0, p_at => '2026-07-31') AS before,
       holdfast.calculate_cost('cohere', 'command-r', 1000000, 0, p_at => '2026-08-01') AS after,
       holdfast.calculate_cost('openai', 'gpt-4o', 1000000, 0, p_cached_tokens => 1000000, p_at => '2026-08-01') AS cached,
       holdfast.calculate_cost('gemini', 'gemini-2.5-pro', 200001, 0, p_at => '2026-08-01') AS long,
       holdfast.calculate_cost('openai', 'gpt-4o', 1000000, 0, p_batch => true, p_at => '2026-08-01') AS batch;
SELECT new, changed, unchanged = :new + :changed + :unchanged AS all_unchanged, skipped = :skipped AS as_before, applied
FROM source, holdfast.import_pricing(json, '2026-08-02', p_apply => true);
SAVEPOINT applied;
SELECT holdfast.apply_price_proposal(:proposal_id);
ROLLBACK TO applied;
SELECT holdfast.apply_price_proposal(-1);
ROLLBACK TO applied;

-- Made of little: what a proposal says of strange entries.
SELECT proposal_id AS strange FROM holdfast.import_pricing('{"a": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.23456789012345e-07, "output_cost_per_token": 1e-06},
    "b": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": "1e-06", "output_cost_per_token": 1e-06},
    "c": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 3e-06, "input_cost_per_token_batches": 1e-06, "output_cost_per_token_batches": 1e-06},
    "d": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 4e-06, "output_cost_per_token": 4e-06, "input_cost_per_token_batches": 3e-06, "output_cost_per_token_batches": 3e-06},
    "e": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1, "output_cost_per_token": 2},
    "f": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": -1e-06, "output_cost_per_token": 1e-06},
    "openai/g": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "G": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2e-06, "output_cost_per_token": 1e-06},
    "h": [], "i": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06},
    "gpt-4o-mini": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6.1e-07}}', '2027-01-01') \gset
SELECT catalog_id, outcome, reason, change_percent, exceeds, cost_per_1m_input, batch_discount_percent
FROM holdfast.price_proposal_entries e WHERE e.proposal_id = :strange ORDER BY catalog_id;
SELECT holdfast.import_pricing('[]');
ROLLBACK TO applied;
SELECT holdfast.import_pricing('{}', p_max_change_percent => -1);
ROLLBACK TO applied;
SELECT holdfast.import_pricing('{}', 'infinity');
ROLLBACK TO applied;
-- A price that came in between makes a proposal stale.
SELECT proposal_id AS stale FROM holdfast.import_pricing('{"x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}}', '2027-01-01') \gset
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date) VALUES ('openai', 'x', 2, 2, '2026-12-31');
SELECT holdfast.apply_price_proposal(:stale);
ROLLBACK;
SELECT count(*) AS nothing_kept FROM holdfast.price_proposals;
