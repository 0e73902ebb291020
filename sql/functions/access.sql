-- Who may use what. Nothing is granted to PUBLIC.

CREATE FUNCTION grant_access(p_role text, p_profile text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_profile IS DISTINCT FROM 'application' THEN
        RAISE EXCEPTION 'There is no profile "%".', p_profile
            USING ERRCODE = 'PT400', HINT = 'The profile is application.';
    END IF;
    IF to_regrole(quote_ident(p_role)) IS NULL THEN
        RAISE EXCEPTION 'There is no role "%".', p_role USING ERRCODE = 'PT404', HINT = 'Make it with CREATE ROLE.';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA holdfast TO %I', p_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION holdfast.authenticate_key, holdfast.record_usage_batch, holdfast.get_budgets, holdfast.list_models, holdfast.open_call,'
        ' holdfast.settle_call, holdfast.release_call, holdfast.extend_hold, holdfast.expire_holds,'
        ' holdfast.normalize_model, holdfast.calculate_cost, holdfast.create_workflow,'
        ' holdfast.check_workflow_cost_limit, holdfast.hold_workflow_cost, holdfast.release_hold,'
        ' holdfast.record_usage_and_increment, holdfast.increment_workflow_cost,'
        ' holdfast.get_organization_monthly_ai_cost, holdfast.require_organization TO %I', p_role);
END $$;
COMMENT ON FUNCTION grant_access(text, text) IS
'Grants a role what its profile needs. application: hold, settle and check for the organizations it serves; no table is granted. Raises PT400 for an unknown profile, PT404 for an unknown role.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA holdfast FROM PUBLIC;
