-- Price catalogs in the format of LiteLLM's model_prices_and_context_window.json.

CREATE FUNCTION catalog_price(p_entry jsonb, p_field text) RETURNS numeric
    LANGUAGE sql IMMUTABLE AS $$
    -- USD per token become USD per million; the number is exact, for jsonb keeps numbers as numeric.
    SELECT CASE WHEN pg_catalog.jsonb_typeof(p_entry -> p_field) = 'number'
                THEN pg_catalog.trim_scale((p_entry ->> p_field)::pg_catalog.numeric * 1000000) END
$$;
COMMENT ON FUNCTION catalog_price(jsonb, text) IS 'A price per token of a catalog''s entry as exact USD per million; NULL when it has none.';

CREATE FUNCTION catalog_tier(p_entry jsonb) RETURNS integer[]
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(DISTINCT (t.parts)[1]::integer), '{}')
    FROM jsonb_object_keys(p_entry) k, regexp_matches(k, '^(?:input|output)_cost_per_token_above_(\d{1,6})k_tokens$') t(parts)
$$;
COMMENT ON FUNCTION catalog_tier(jsonb) IS 'The prompt lengths, in thousands of tokens, above which the entry has other prices.';

CREATE FUNCTION catalog_batch_discount(p_entry jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p.batch_in = p.full_in * (1 - d.percent / 100) AND p.batch_out = p.full_out * (1 - d.percent / 100)
                THEN d.percent END
    FROM (SELECT holdfast.catalog_price(p_entry, 'input_cost_per_token_batches') AS batch_in,
                 holdfast.catalog_price(p_entry, 'output_cost_per_token_batches') AS batch_out,
                 holdfast.catalog_price(p_entry, 'input_cost_per_token') AS full_in,
                 holdfast.catalog_price(p_entry, 'output_cost_per_token') AS full_out) p,
         LATERAL (SELECT round(100 - 100 * p.batch_in / nullif(p.full_in, 0)) AS percent) d
    WHERE d.percent BETWEEN 0 AND 100
$$;
COMMENT ON FUNCTION catalog_batch_discount(jsonb) IS
'The discount in whole percent that makes the batch prices out of the full ones exactly, NULL when there is none.';

CREATE FUNCTION catalog_provider(p_name text) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_name WHEN 'together_ai' THEN 'together' WHEN 'cohere_chat' THEN 'cohere' ELSE pg_catalog.lower(p_name) END
$$;
COMMENT ON FUNCTION catalog_provider(text) IS 'Our name of a catalog''s provider; others keep their own.';

CREATE FUNCTION read_price_catalog(p_catalog jsonb)
    RETURNS TABLE (catalog_id text, entry jsonb, provider text, model text, tiers integer[], cost_per_request numeric,
                   problem text, remark text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH entries AS (
        SELECT c.key AS catalog_id, c.value AS entry, holdfast.catalog_provider(c.value ->> 'litellm_provider') AS provider,
               lower(CASE WHEN starts_with(c.key, (c.value ->> 'litellm_provider') || '/')
                          THEN substr(c.key, length(c.value ->> 'litellm_provider') + 2) ELSE c.key END) AS model,
               CASE WHEN jsonb_typeof(c.value) = 'object' THEN holdfast.catalog_tier(c.value) END AS tiers
        FROM jsonb_each(p_catalog) c
    ), fees AS (
        -- A search is part of every Perplexity call, at least at the default context size; elsewhere it is a tool.
        SELECT e.*, coalesce((e.entry ->> 'input_cost_per_query')::numeric,
                             CASE WHEN e.provider = 'perplexity'
                                  THEN (e.entry #>> '{search_context_cost_per_query,search_context_size_low}')::numeric END,
                             0) AS cost_per_request
        FROM entries e
    )
    SELECT f.catalog_id, f.entry, f.provider, f.model, f.tiers, f.cost_per_request,
        CASE
            WHEN jsonb_typeof(f.entry) <> 'object' OR jsonb_typeof(f.entry -> 'litellm_provider') IS DISTINCT FROM 'string'
                THEN 'it is no model: it names no provider'
            WHEN f.provider !~ '^[a-z0-9][a-z0-9_.-]*$' THEN 'it is no model: its provider is no name'
            WHEN f.model ~ '^together-ai-[0-9.]+b' THEN 'it is a size class, no model'
            WHEN octet_length(f.model) NOT BETWEEN 1 AND 255 THEN 'its name is too long'
            WHEN EXISTS (SELECT FROM jsonb_each(f.entry) x WHERE x.key ~ '^(input|output|cache)_.*(cost|token)'
                           AND x.key ~ '_cost' AND jsonb_typeof(x.value) NOT IN ('number', 'null', 'object'))
                THEN 'a price of it is no number'
            WHEN f.entry ?| '{input_cost_per_second,output_cost_per_second}' AND NOT f.entry ? 'input_cost_per_token'
                THEN 'it is priced by the second'
            WHEN holdfast.catalog_price(f.entry, 'input_cost_per_token') IS NULL AND f.cost_per_request = 0 THEN 'it has no price'
            WHEN coalesce(holdfast.catalog_price(f.entry, 'input_cost_per_token'), 0) = 0
                 AND coalesce(holdfast.catalog_price(f.entry, 'output_cost_per_token'), 0) = 0 AND f.cost_per_request = 0
                THEN 'its price is not known: 0 stands for what the router chooses'
            WHEN f.entry ->> 'mode' = 'embedding' AND f.model !~ 'embed|bge|e5-|gte-'
                THEN 'it is listed as an embedding but is none by its name: its output price is missing'
            WHEN f.entry ->> 'mode' IN ('chat', 'completion', 'responses') AND NOT f.entry ? 'output_cost_per_token'
                THEN 'it has no output price'
            WHEN cardinality(f.tiers) > 1 THEN 'it has more than one tier of prompt length'
        END,
        nullif(concat_ws('; ',
            CASE WHEN f.entry ?| '{input_cost_per_audio_token,output_cost_per_audio_token,input_cost_per_audio_per_second}'
                 THEN 'audio is priced apart and is not in here' END,
            CASE WHEN f.entry ?| '{input_cost_per_image,input_cost_per_video_per_second}'
                 THEN 'images or video are priced apart and are not in here' END,
            CASE WHEN f.entry ?| '{cache_creation_input_token_cost_above_200k_tokens,cache_creation_input_token_cost_above_272k_tokens}'
                 THEN 'cache writes of long prompts cost more' END,
            CASE WHEN f.entry ?| '{input_cost_per_token_batches,output_cost_per_token_batches}'
                      AND holdfast.catalog_batch_discount(f.entry) IS NULL
                 THEN 'its batch prices are no whole percent of the full ones' END), '')
    FROM fees f
$$;
COMMENT ON FUNCTION read_price_catalog(jsonb) IS
'The entries of a catalog with our names for provider and model; problem says why one cannot be taken, remark what of it cannot be kept.';

CREATE FUNCTION price_change(p_old ai_provider_pricing, p_new price_proposal_entries,
                             OUT is_same boolean, OUT percent numeric, OUT from_nothing boolean)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT bool_and(p.old IS NOT DISTINCT FROM p.new),
           round(max(abs(p.new - p.old) * 100 / nullif(p.old, 0)), 2),
           coalesce(bool_or(p.old = 0 AND p.new > 0), false)
    FROM (VALUES
        ((p_old).cost_per_1m_input, (p_new).cost_per_1m_input),
        ((p_old).cost_per_1m_output, (p_new).cost_per_1m_output),
        ((p_old).cost_per_1m_cached_input, (p_new).cost_per_1m_cached_input),
        ((p_old).cost_per_1m_cache_write, (p_new).cost_per_1m_cache_write),
        ((p_old).cost_per_1m_reasoning, (p_new).cost_per_1m_reasoning),
        ((p_old).long_context_tokens, (p_new).long_context_tokens),
        ((p_old).cost_per_1m_input_long, (p_new).cost_per_1m_input_long),
        ((p_old).cost_per_1m_output_long, (p_new).cost_per_1m_output_long),
        ((p_old).cost_per_1m_cached_input_long, (p_new).cost_per_1m_cached_input_long),
        ((p_old).cost_per_request, (p_new).cost_per_request),
        (100 - (p_old).batch_discount_percent, 100 - (p_new).batch_discount_percent)) p(old, new)
$$;
COMMENT ON FUNCTION price_change(ai_provider_pricing, price_proposal_entries) IS
'Whether two prices are the same, the largest change of a figure in percent, and whether something that was 0 now costs. A figure that was NULL is new, not changed.';

CREATE FUNCTION store_price_proposal(p_proposal_id bigint, p_catalog jsonb) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO holdfast.price_proposal_entries (proposal_id, catalog_id, outcome, reason, provider, model, cost_per_1m_input,
        cost_per_1m_output, cost_per_1m_cached_input, cost_per_1m_cache_write, cost_per_1m_reasoning, long_context_tokens,
        cost_per_1m_input_long, cost_per_1m_output_long, cost_per_1m_cached_input_long, cost_per_request,
        batch_discount_percent, context_tokens, capabilities)
    SELECT p_proposal_id, c.catalog_id, CASE WHEN c.problem IS NULL THEN 'new' ELSE 'skipped' END,
        coalesce(c.problem, c.remark), c.provider, c.model,
        coalesce(holdfast.catalog_price(c.entry, 'input_cost_per_token'), 0),
        coalesce(holdfast.catalog_price(c.entry, 'output_cost_per_token'), 0),
        holdfast.catalog_price(c.entry, 'cache_read_input_token_cost'),
        holdfast.catalog_price(c.entry, 'cache_creation_input_token_cost'),
        holdfast.catalog_price(c.entry, 'output_cost_per_reasoning_token'),
        c.tiers[1] * 1000,
        holdfast.catalog_price(c.entry, format('input_cost_per_token_above_%sk_tokens', c.tiers[1])),
        holdfast.catalog_price(c.entry, format('output_cost_per_token_above_%sk_tokens', c.tiers[1])),
        holdfast.catalog_price(c.entry, format('cache_read_input_token_cost_above_%sk_tokens', c.tiers[1])),
        trim_scale(c.cost_per_request), coalesce(holdfast.catalog_batch_discount(c.entry), 0),
        CASE WHEN jsonb_typeof(c.entry -> 'max_input_tokens') = 'number'
              AND (c.entry ->> 'max_input_tokens')::numeric BETWEEN 1 AND 2147483647
             THEN (c.entry ->> 'max_input_tokens')::numeric::integer END,
        array_remove(ARRAY[CASE WHEN c.entry ->> 'mode' = 'embedding' THEN 'embeddings' ELSE 'text' END,
            CASE WHEN c.entry -> 'supports_function_calling' = 'true' THEN 'functions' END,
            CASE WHEN c.entry -> 'supports_vision' = 'true' THEN 'vision' END,
            CASE WHEN c.entry -> 'supports_reasoning' = 'true' THEN 'reasoning' END,
            CASE WHEN c.entry -> 'supports_web_search' = 'true' THEN 'online-search' END], NULL)
    FROM holdfast.read_price_catalog(p_catalog) c
$$;
COMMENT ON FUNCTION store_price_proposal(bigint, jsonb) IS 'Stores what a catalog says, before it is compared with the prices in force.';

CREATE FUNCTION compare_price_proposal(p_proposal_id bigint) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- What the price table could not keep, and what the catalog says twice and differently, is not taken.
    UPDATE holdfast.price_proposal_entries e SET outcome = 'skipped', reason = t.problem
    FROM (SELECT x.catalog_id, CASE
              WHEN EXISTS (SELECT FROM unnest(ARRAY[x.cost_per_1m_input, x.cost_per_1m_output, x.cost_per_1m_cached_input,
                      x.cost_per_1m_cache_write, x.cost_per_1m_reasoning, x.cost_per_1m_input_long, x.cost_per_1m_output_long,
                      x.cost_per_1m_cached_input_long]) p WHERE p NOT BETWEEN 0 AND 1000000)
                   OR x.cost_per_request NOT BETWEEN 0 AND 1000000 THEN 'a price of it is out of bounds'
              WHEN EXISTS (SELECT FROM unnest(ARRAY[x.cost_per_1m_input, x.cost_per_1m_output, x.cost_per_1m_cached_input,
                      x.cost_per_1m_cache_write, x.cost_per_1m_reasoning, x.cost_per_1m_input_long, x.cost_per_1m_output_long,
                      x.cost_per_1m_cached_input_long]) p WHERE scale(p) > 10)
                   OR scale(x.cost_per_request) > 16 THEN 'a price of it has more decimals than can be kept exactly'
              WHEN count(*) OVER (PARTITION BY x.provider, x.model) > 1 THEN 'the catalog has its model more than once' END AS problem
          FROM holdfast.price_proposal_entries x WHERE x.proposal_id = p_proposal_id AND x.outcome <> 'skipped') t
    WHERE e.proposal_id = p_proposal_id AND e.catalog_id = t.catalog_id AND t.problem IS NOT NULL;
    UPDATE holdfast.price_proposal_entries e SET
        outcome = CASE WHEN d.is_same THEN 'unchanged' WHEN d.effective_date = r.effective_date THEN 'skipped' ELSE 'changed' END,
        reason = CASE WHEN NOT d.is_same AND d.effective_date = r.effective_date
                      THEN 'a price from the same day on is there already' ELSE e.reason END,
        change_percent = CASE WHEN NOT d.is_same THEN d.percent END,
        exceeds = NOT d.is_same AND (d.from_nothing OR coalesce(d.percent > r.max_change_percent, false)),
        replaces_price_id = d.price_id
    FROM holdfast.price_proposals r, LATERAL (
        SELECT x.catalog_id, o.price_id, o.effective_date, c.*
        FROM holdfast.price_proposal_entries x
        CROSS JOIN LATERAL (SELECT * FROM holdfast.ai_provider_pricing p
                            WHERE p.provider = x.provider AND p.model = x.model AND p.effective_date <= r.effective_date
                            ORDER BY p.effective_date DESC LIMIT 1) o
        CROSS JOIN LATERAL holdfast.price_change(o, x) c
        WHERE x.proposal_id = r.proposal_id AND x.outcome <> 'skipped') d
    WHERE r.proposal_id = p_proposal_id AND e.proposal_id = r.proposal_id AND e.catalog_id = d.catalog_id;
    UPDATE holdfast.price_proposal_entries e SET exceeds = false
    WHERE e.proposal_id = p_proposal_id AND e.outcome = 'skipped';
$$;
COMMENT ON FUNCTION compare_price_proposal(bigint) IS
'Tells for each entry of a proposal whether it is new, changed or the same as the price in force on its day.';

CREATE FUNCTION import_pricing(p_catalog jsonb, p_effective_date date DEFAULT (now() AT TIME ZONE 'UTC')::date,
                               p_max_change_percent numeric DEFAULT 50, p_apply boolean DEFAULT false,
                               OUT proposal_id bigint, OUT new integer, OUT changed integer, OUT unchanged integer,
                               OUT skipped integer, OUT exceeding integer, OUT largest_change_percent numeric,
                               OUT applied boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_catalog IS NULL OR jsonb_typeof(p_catalog) <> 'object' THEN
        RAISE EXCEPTION 'The catalog is no JSON object.'
            USING ERRCODE = 'PT400', HINT = 'Give LiteLLM''s model_prices_and_context_window.json as it is.';
    ELSIF p_effective_date IS NULL OR NOT isfinite(p_effective_date) THEN
        RAISE EXCEPTION 'p_effective_date is no day.' USING ERRCODE = 'PT400';
    ELSIF p_max_change_percent IS NULL OR p_max_change_percent < 0 OR p_max_change_percent = 'NaN' THEN
        RAISE EXCEPTION 'p_max_change_percent is %.', coalesce(p_max_change_percent::text, 'NULL')
            USING ERRCODE = 'PT400', HINT = 'Give the change in percent up to which prices are applied.';
    END IF;
    INSERT INTO holdfast.price_proposals AS p (effective_date, max_change_percent, catalog_digest)
    VALUES (p_effective_date, p_max_change_percent, sha256(convert_to(p_catalog::text, 'UTF8')))
    RETURNING p.proposal_id INTO import_pricing.proposal_id;
    PERFORM holdfast.store_price_proposal(import_pricing.proposal_id, p_catalog);
    PERFORM holdfast.compare_price_proposal(import_pricing.proposal_id);
    applied := coalesce(p_apply, false) AND holdfast.apply_price_proposal(import_pricing.proposal_id) >= 0;
    SELECT count(*) FILTER (WHERE e.outcome = 'new'), count(*) FILTER (WHERE e.outcome = 'changed'),
           count(*) FILTER (WHERE e.outcome = 'unchanged'), count(*) FILTER (WHERE e.outcome = 'skipped'),
           count(*) FILTER (WHERE e.exceeds), max(e.change_percent) FILTER (WHERE e.outcome = 'changed')
    INTO new, changed, unchanged, skipped, exceeding, largest_change_percent
    FROM holdfast.price_proposal_entries e WHERE e.proposal_id = import_pricing.proposal_id;
END $$;
COMMENT ON FUNCTION import_pricing(jsonb, date, numeric, boolean) IS
'Reads LiteLLM''s model_prices_and_context_window.json into a proposal (price_proposal_entries tells for each model what would change, or why it is skipped) and returns how many are new, changed, unchanged and skipped. p_apply puts it in force at once, which raises PT409, and stores nothing, when a price changes by more than p_max_change_percent. Raises PT400.';

CREATE FUNCTION apply_price_proposal(p_proposal_id bigint, p_force boolean DEFAULT false) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    proposal holdfast.price_proposals;
    exceeding jsonb;
    inserted integer;
BEGIN
    SELECT * INTO proposal FROM holdfast.price_proposals p WHERE p.proposal_id = p_proposal_id FOR UPDATE;
    IF proposal.proposal_id IS NULL THEN
        RAISE EXCEPTION 'There is no price proposal %.', p_proposal_id
            USING ERRCODE = 'PT404', HINT = 'Make one with holdfast.import_pricing().';
    ELSIF proposal.applied_at IS NOT NULL THEN
        RAISE EXCEPTION 'Price proposal % was applied before.', p_proposal_id
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('appliedAt', proposal.applied_at);
    END IF;
    -- No other price comes in between.
    LOCK TABLE holdfast.ai_provider_pricing IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM holdfast.price_proposal_entries e
               WHERE e.proposal_id = p_proposal_id AND e.outcome IN ('new', 'changed', 'unchanged')
                 AND e.replaces_price_id IS DISTINCT FROM (
                     SELECT p.price_id FROM holdfast.ai_provider_pricing p
                     WHERE p.provider = e.provider AND p.model = e.model AND p.effective_date <= proposal.effective_date
                     ORDER BY p.effective_date DESC LIMIT 1)) THEN
        RAISE EXCEPTION 'Prices have changed since proposal % was made.', p_proposal_id
            USING ERRCODE = 'PT409', HINT = 'Import the catalog again.';
    END IF;
    SELECT jsonb_agg(jsonb_build_object('provider', e.provider, 'model', e.model, 'changePercent', e.change_percent)
                     ORDER BY e.change_percent DESC NULLS FIRST, e.provider, e.model)
    INTO exceeding FROM holdfast.price_proposal_entries e WHERE e.proposal_id = p_proposal_id AND e.exceeds;
    IF exceeding IS NOT NULL AND NOT coalesce(p_force, false) THEN
        RAISE EXCEPTION '% of the prices in proposal % change by more than % percent, or from 0.',
                jsonb_array_length(exceeding), p_proposal_id, proposal.max_change_percent
            USING ERRCODE = 'PT409',
                  DETAIL = jsonb_build_object('maxChangePercent', proposal.max_change_percent, 'exceeding', exceeding),
                  HINT = 'Look at holdfast.price_proposal_entries, then apply it with p_force => true.';
    END IF;
    INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output,
        cost_per_1m_cached_input, cost_per_1m_cache_write, cost_per_1m_reasoning, long_context_tokens,
        cost_per_1m_input_long, cost_per_1m_output_long, cost_per_1m_cached_input_long, cost_per_request,
        batch_discount_percent, effective_date, latency_ms, context_tokens, capabilities)
    SELECT e.provider, e.model, e.cost_per_1m_input, e.cost_per_1m_output, e.cost_per_1m_cached_input,
        e.cost_per_1m_cache_write, e.cost_per_1m_reasoning, e.long_context_tokens, e.cost_per_1m_input_long,
        e.cost_per_1m_output_long, e.cost_per_1m_cached_input_long, e.cost_per_request, e.batch_discount_percent,
        proposal.effective_date, o.latency_ms, coalesce(e.context_tokens, o.context_tokens),
        coalesce(o.capabilities, e.capabilities)
    FROM holdfast.price_proposal_entries e
    LEFT JOIN holdfast.ai_provider_pricing o ON o.price_id = e.replaces_price_id
    WHERE e.proposal_id = p_proposal_id AND e.outcome IN ('new', 'changed') ORDER BY e.provider, e.model;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    UPDATE holdfast.price_proposals p SET applied_at = now(), applied_by = session_user WHERE p.proposal_id = p_proposal_id;
    RETURN inserted;
END $$;
COMMENT ON FUNCTION apply_price_proposal(bigint, boolean) IS
'Puts the new and changed prices of a proposal in force from its effective date, as new rows, and returns how many. Raises PT404 for an unknown proposal, PT409 when it was applied before, when prices have changed since it was made, or, unless p_force, when a price changes by more than the proposal allows (DETAIL lists them).';
