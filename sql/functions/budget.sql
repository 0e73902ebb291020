-- Limits, holds on them, and what is left.

CREATE FUNCTION budgets_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'holdfast_budgets_changed';
COMMENT ON FUNCTION budgets_changed() IS 'Trigger: tells every server process to look budgets up anew.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE ON budgets
    FOR EACH STATEMENT EXECUTE FUNCTION budgets_changed();
ALTER TABLE budgets ENABLE ALWAYS TRIGGER tell_every_process;

CREATE FUNCTION lock_organization(p_organization_id uuid) RETURNS boolean
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'holdfast_lock_organization';
COMMENT ON FUNCTION lock_organization(uuid) IS
'Keeps holds and settlements of the organization waiting until the transaction ends, so that its budgets can change.';

CREATE FUNCTION hold_workflow_cost(p_workflow_id uuid, p_organization_id uuid, p_estimated_cost numeric,
                                   p_limit numeric DEFAULT NULL, p_ttl interval DEFAULT '10 minutes',
                                   p_user_id text DEFAULT NULL, p_idempotency_key uuid DEFAULT NULL,
                                   p_provider text DEFAULT NULL, p_api_key_id uuid DEFAULT NULL,
                                   p_community_id uuid DEFAULT NULL, p_tool text DEFAULT NULL,
                                   OUT hold_id uuid, OUT granted boolean, OUT scope text, OUT limit_usd numeric,
                                   OUT spent numeric, OUT held numeric, OUT expires_at timestamptz)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_hold_workflow_cost';
COMMENT ON FUNCTION hold_workflow_cost(uuid, uuid, numeric, numeric, interval, text, uuid, text, uuid, uuid, text) IS
'Checks and reserves p_estimated_cost USD on every budget that applies (workflow, user, API key, community, provider, tool, credits, organization), or on none. granted: hold_id and expires_at are set, the figures are those of the tightest budget. Not granted: scope names the budget that refused, with its figures; a row of budget_denials is kept and PostgREST answers 402. p_limit can lower the workflow''s own limit for this hold, not raise it. p_workflow_id NULL: a call outside any workflow. p_idempotency_key becomes the hold''s id, and a repeat returns the same hold. Raises PT400, PT403 (another organization''s workflow), PT404, PT409 (key used for another hold).';

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
    LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'holdfast_check_workflow_cost_limit';
COMMENT ON FUNCTION check_workflow_cost_limit(uuid, numeric, numeric) IS
'Whether spent + held + p_estimated_cost USD stays within p_limit (NULL: the workflow''s own limit). Advice only: it reserves nothing, so concurrent callers may all get true; hold_workflow_cost() is the limit. Raises PT400, PT403, PT404.';

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
