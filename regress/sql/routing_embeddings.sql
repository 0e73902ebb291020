-- Embeddings are governed like any other call: priced by their input, and never served by another kind of model.
\set VERBOSITY terse
\set org '\'ec000000-0000-0000-0000-000000000001\''
\set catalog `cat regress/data/litellm_model_prices_sample.json`
BEGIN;
SELECT sha256(convert_to(api_key, 'UTF8')) AS hash FROM holdfast.create_api_key(:org, 'test') \gset
-- No price, no call.
SAVEPOINT before;
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'text-embedding-3-small', 100, 0, p_providers => '{openai}', p_capabilities => '{embeddings}');
ROLLBACK TO before;
SELECT proposal_id FROM holdfast.import_pricing(:'catalog', '2026-01-02') \gset
SELECT holdfast.apply_price_proposal(:proposal_id, p_force => true) > 0 AS applied;
SELECT provider, model, cost_per_1m_input AS input, cost_per_1m_output AS output, capabilities FROM holdfast.ai_provider_pricing
WHERE 'embeddings' = ANY (capabilities) AND NOT shipped ORDER BY provider, model;
-- The hold is the bound of the input; the settlement is what was used.
SELECT outcome, provider, model, estimated_cost, completion_tokens, hold_id AS hold FROM holdfast.open_call(:org, :'hash',
    'text-embedding-3-small', 1000000, 0, p_providers => '{openai,mistral}', p_capabilities => '{embeddings}') \gset
SELECT :'outcome' AS outcome, :'provider' AS provider, :'model' AS model, :estimated_cost AS estimate, :completion_tokens AS completion;
SELECT cost FROM holdfast.settle_call(:org, :'hold', 'text-embedding-3-small', 250000, 0);
-- A chat model makes no vectors.
SAVEPOINT before;
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 100, 0, p_providers => '{openai}', p_capabilities => '{embeddings}');
ROLLBACK TO before;
-- Where a budget's downgrade asks for a cheaper model, vectors keep theirs.
SELECT holdfast.set_budget(:org, 1, p_downgrade_at_usd => 0.001, p_downgrade_model => 'gpt-4o-mini') IS NOT NULL AS set;
SELECT outcome, model FROM holdfast.open_call(:org, :'hash', 'gpt-4o', 100, 100, p_providers => '{openai}');
SELECT outcome, model FROM holdfast.open_call(:org, :'hash', 'text-embedding-3-small', 100, 0, p_providers => '{openai}', p_capabilities => '{embeddings}');
ROLLBACK;
