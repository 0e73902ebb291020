-- What was spent.

CREATE FUNCTION record_usage_and_increment(p_workflow_id uuid, p_organization_id uuid, p_model text,
                                           p_prompt_tokens integer, p_completion_tokens integer,
                                           p_cost numeric DEFAULT NULL, p_idempotency_key uuid DEFAULT NULL,
                                           p_hold_id uuid DEFAULT NULL, p_provider text DEFAULT NULL,
                                           p_user_id text DEFAULT NULL, p_metadata jsonb DEFAULT '{}',
                                           p_cached_tokens integer DEFAULT 0, p_cache_write_tokens integer DEFAULT 0,
                                           p_reasoning_tokens integer DEFAULT 0, p_api_key_id uuid DEFAULT NULL,
                                           p_community_id uuid DEFAULT NULL, p_tool text DEFAULT NULL,
                                           OUT ledger_id uuid, OUT cost numeric, OUT total_ai_cost numeric,
                                           OUT duplicate boolean, OUT overrun numeric)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_record_usage_and_increment';
COMMENT ON FUNCTION record_usage_and_increment(uuid, uuid, text, integer, integer, numeric, uuid, uuid, text, text, jsonb, integer, integer, integer, uuid, uuid, text) IS
'Settles a call in one transaction: appends the ledger entry, moves every counter, ends the hold. p_cost NULL: the list price. What was spent is never refused: overrun is the USD that no open hold covered (without a hold: that passed a limit). A repeat of p_idempotency_key with the same figures returns the first row with duplicate = true and charges nothing. Raises PT400, PT403, PT404 (workflow, hold), PT409 (key used with other figures: DETAIL names the field), PT422 (no price and no cost).';

CREATE FUNCTION increment_workflow_cost(p_workflow_id uuid, p_amount numeric) RETURNS numeric
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_increment_workflow_cost';
COMMENT ON FUNCTION increment_workflow_cost(uuid, numeric) IS
'Appends an adjustment of p_amount USD (negative: a correction downwards, at most what was spent) to the ledger and returns the workflow''s new total. Raises PT400, PT403, PT404.';

CREATE FUNCTION record_usage_batch(p_organization_id uuid, p_entries jsonb,
                                   OUT entry integer, OUT ledger_id uuid, OUT cost numeric, OUT total_ai_cost numeric,
                                   OUT duplicate boolean, OUT overrun numeric, OUT sqlstate text, OUT error text,
                                   OUT detail jsonb)
    RETURNS SETOF record
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_record_usage_batch';
COMMENT ON FUNCTION record_usage_batch(uuid, jsonb) IS
'Settles up to 10,000 calls of one organization in one transaction, one row for each element of p_entries, counted from 1. An element has the parameters of record_usage_and_increment() without p_. What is wrong with one entry is its own row''s sqlstate, error and detail, and stops no other. Holds that the batch ends have had their room: where a limit is passed, overrun is named by the entries without a hold, the last of them first. Raises PT400 when p_entries is no array or too long, PT403.';

CREATE FUNCTION refund_usage(p_ledger_id uuid, p_organization_id uuid, p_amount numeric DEFAULT NULL,
                             p_reason text DEFAULT NULL,
                             OUT ledger_id uuid, OUT cost numeric, OUT total_ai_cost numeric)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_refund_usage';
COMMENT ON FUNCTION refund_usage(uuid, uuid, numeric, text) IS
'Takes p_amount USD (NULL: all that is left) of a ledger entry back by a new entry of kind refund that points at it (corrects), on every counter that the entry counted on. cost is negative. Raises PT400, PT403, PT404 (entry), PT409 (more than is left of it).';
