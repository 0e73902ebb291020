-- Limits, holds on them, and what is left.

CREATE FUNCTION hold_workflow_cost(p_workflow_id uuid, p_organization_id uuid, p_estimated_cost numeric,
                                   p_limit numeric DEFAULT NULL, p_ttl interval DEFAULT '10 minutes',
                                   p_user_id text DEFAULT NULL, p_idempotency_key uuid DEFAULT NULL,
                                   OUT hold_id uuid, OUT granted boolean, OUT scope text, OUT limit_usd numeric,
                                   OUT spent numeric, OUT held numeric, OUT expires_at timestamptz)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_hold_workflow_cost';
COMMENT ON FUNCTION hold_workflow_cost(uuid, uuid, numeric, numeric, interval, text, uuid) IS
'Checks and reserves p_estimated_cost USD on every budget that applies, or on none. granted: hold_id and expires_at are set, the figures are those of the tightest budget. Not granted: scope names the budget that refused, with its figures; a row of budget_denials is kept and PostgREST answers 402. p_limit can lower the workflow''s own limit for this hold, not raise it. p_workflow_id NULL: a call outside any workflow. p_idempotency_key becomes the hold''s id, and a repeat returns the same hold. Raises PT400, PT403 (another organization''s workflow), PT404, PT409 (key used for another hold).';

CREATE FUNCTION release_hold(p_hold_id uuid, p_organization_id uuid) RETURNS boolean
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_release_hold';
COMMENT ON FUNCTION release_hold(uuid, uuid) IS
'Gives a hold back unspent. True. Raises PT404 for an unknown hold, PT409 for one that has ended.';

CREATE FUNCTION extend_hold(p_hold_id uuid, p_organization_id uuid, p_ttl interval DEFAULT '10 minutes')
    RETURNS timestamptz
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_extend_hold';
COMMENT ON FUNCTION extend_hold(uuid, uuid, interval) IS
'Lets an open hold run out p_ttl from now and returns that moment. Raises PT404 for an unknown hold, PT409 for one that has ended or run out.';

CREATE FUNCTION expire_holds(p_most integer DEFAULT 1000) RETURNS integer
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_expire_holds';
COMMENT ON FUNCTION expire_holds(integer) IS
'Ends up to p_most (1 to 10000) holds that have run out and returns how many it ended. Housekeeping: what has run out reserves nothing even before.';

CREATE FUNCTION check_workflow_cost_limit(p_workflow_id uuid, p_estimated_cost numeric, p_limit numeric DEFAULT NULL)
    RETURNS boolean
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_check_workflow_cost_limit';
COMMENT ON FUNCTION check_workflow_cost_limit(uuid, numeric, numeric) IS
'Whether spent + held + p_estimated_cost USD stays within p_limit (NULL: the workflow''s own limit). Advice only: it reserves nothing, so concurrent callers may all get true; hold_workflow_cost() is the limit. Raises PT400, PT403, PT404.';

CREATE FUNCTION set_budget(p_organization_id uuid, p_limit_usd numeric, p_scope text DEFAULT 'organization',
                           p_subject text DEFAULT '', p_period text DEFAULT 'month') RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_organization_id IS NULL THEN
        RAISE EXCEPTION 'p_organization_id is NULL.' USING ERRCODE = 'PT400';
    END IF;
    IF p_scope IS DISTINCT FROM 'organization' OR p_subject IS DISTINCT FROM '' OR p_period IS DISTINCT FROM 'month' THEN
        RAISE EXCEPTION 'There is no budget for % "%" by %.', p_scope, p_subject, p_period
            USING ERRCODE = 'PT400', HINT = 'The budget that can be set is that of the organization''s month.';
    END IF;
    IF p_limit_usd < 0 OR p_limit_usd > 1000000000000000 OR scale(p_limit_usd) > 18 OR p_limit_usd = 'NaN' THEN
        RAISE EXCEPTION 'A limit of % USD cannot be kept.', p_limit_usd
            USING ERRCODE = 'PT400', HINT = 'Give 0 to 1000000000000000 USD, or NULL for no limit.';
    END IF;
    INSERT INTO holdfast.budgets AS b (organization_id, budget_id, scope, period, limit_usd)
    VALUES (p_organization_id, p_organization_id, 'organization', 'month', p_limit_usd)
    ON CONFLICT (organization_id, budget_id) DO UPDATE SET limit_usd = excluded.limit_usd, updated_at = now();
    -- A limit below what is spent and held already is no overrun of any settlement: it is recorded as one.
    UPDATE holdfast.budget_counters SET
        limit_usd = p_limit_usd,
        overrun = greatest(overrun, spent + held - p_limit_usd)
    WHERE budget_id = p_organization_id AND organization_id = p_organization_id
      AND period_start >= date_trunc('month', now() AT TIME ZONE 'UTC')::date;
    RETURN p_organization_id;
END $$;
COMMENT ON FUNCTION set_budget(uuid, numeric, text, text, text) IS
'Sets the hard limit in USD of the organization''s month, from the running month on (NULL: no limit), and returns the budget''s id. Raises PT400 for what is no limit, PT403 for another organization.';

CREATE FUNCTION get_organization_monthly_ai_cost(p_organization_id uuid, p_month date DEFAULT current_date)
    RETURNS numeric
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN holdfast.require_organization(p_organization_id) THEN
        coalesce((SELECT trim_scale(sum(spent)) FROM holdfast.budget_counters
                  WHERE budget_id = p_organization_id AND organization_id = p_organization_id
                    AND period_start = date_trunc('month', p_month)::date), 0)
    END
$$;
COMMENT ON FUNCTION get_organization_monthly_ai_cost(uuid, date) IS
'USD that the organization spent in the month (UTC) of p_month, from the running total. Raises PT403 for another organization.';
