-- What a call costs.

CREATE FUNCTION normalize_model(p_model text) RETURNS text
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_normalize_model';
COMMENT ON FUNCTION normalize_model(text) IS
'The priced id of a model under any of its names: letter case, provider/ prefixes, :free, -latest and date suffixes are cut until a priced id is met; without one the plain name is returned. Raises PT400 for an empty name.';

CREATE FUNCTION calculate_cost(p_provider text, p_model text, p_prompt_tokens integer, p_completion_tokens integer,
                               p_cached_tokens integer DEFAULT 0, p_cache_write_tokens integer DEFAULT 0,
                               p_reasoning_tokens integer DEFAULT 0, p_batch boolean DEFAULT false,
                               p_at timestamptz DEFAULT now()) RETURNS numeric
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_calculate_cost';
COMMENT ON FUNCTION calculate_cost(text, text, integer, integer, integer, integer, integer, boolean, timestamptz) IS
'The exact list price in USD of a call, by the price in force at p_at: ((prompt - cached - cache_write) x input + cached x cached_input + cache_write x cache_write_price + (completion - reasoning) x output + reasoning x reasoning_price) / 1,000,000 + per_request, less the batch discount. A NULL provider is found by the model. Raises PT400 for impossible counts, PT422 for an unpriced model or one that several providers price.';

CREATE FUNCTION list_models(p_providers text[] DEFAULT NULL,
                            OUT provider text, OUT model text, OUT cost_per_1m_input numeric, OUT cost_per_1m_output numeric,
                            OUT latency_ms integer, OUT context_tokens integer, OUT capabilities text[])
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (p.provider, p.model)
        CASE WHEN p_providers = '{sandbox}' THEN 'sandbox' ELSE p.provider END, p.model, p.cost_per_1m_input,
        p.cost_per_1m_output, p.latency_ms, p.context_tokens, p.capabilities
    FROM holdfast.ai_provider_pricing p
    WHERE p.effective_date <= (now() AT TIME ZONE 'UTC')::date
      AND (p_providers IS NULL OR p_providers = '{sandbox}' OR p.provider = ANY (p_providers))
    ORDER BY p.provider, p.model, p.effective_date DESC
$$;
COMMENT ON FUNCTION list_models(text[]) IS
'The models that have a price today, with their prices in USD per million tokens, for these providers (NULL: all). The sandbox serves every priced model.';

CREATE FUNCTION prices_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'holdfast_prices_changed';
COMMENT ON FUNCTION prices_changed() IS 'Trigger: tells every server process to read the prices anew.';

CREATE TRIGGER tell_every_process AFTER INSERT ON ai_provider_pricing
    FOR EACH STATEMENT EXECUTE FUNCTION prices_changed();
ALTER TABLE ai_provider_pricing ENABLE ALWAYS TRIGGER tell_every_process;
