-- Approvals of dear calls: open_call() asks for them.

CREATE FUNCTION approval_thresholds_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'holdfast_approval_thresholds_changed';
COMMENT ON FUNCTION approval_thresholds_changed() IS 'Trigger: tells every server process to read the thresholds anew.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON approval_thresholds
    FOR EACH STATEMENT EXECUTE FUNCTION approval_thresholds_changed();
ALTER TABLE approval_thresholds ENABLE ALWAYS TRIGGER tell_every_process;

CREATE FUNCTION set_approval_threshold(p_organization_id uuid, p_threshold_usd numeric) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_organization_id IS NULL OR p_threshold_usd < 0 OR p_threshold_usd > 1000000 OR p_threshold_usd = 'NaN'
       OR scale(p_threshold_usd) > 18 THEN
        RAISE EXCEPTION 'A threshold needs an organization, and 0 to 1000000 USD with at most 18 decimals.'
            USING ERRCODE = 'PT400', DETAIL = json_build_object('field', 'p_threshold_usd')::text,
                  HINT = 'NULL takes it away.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_threshold_usd IS NULL THEN
        DELETE FROM holdfast.approval_thresholds WHERE organization_id = p_organization_id;
    ELSE
        INSERT INTO holdfast.approval_thresholds VALUES (p_organization_id, p_threshold_usd)
        ON CONFLICT (organization_id) DO UPDATE SET threshold_usd = excluded.threshold_usd;
    END IF;
END $$;
COMMENT ON FUNCTION set_approval_threshold(uuid, numeric) IS
'Sets the estimate in USD above which a call of the organization waits for an approval; NULL takes it away. The gateway''s own threshold counts beside it: the lower of the two decides. Raises PT400, PT403.';

CREATE FUNCTION approve_call(p_approval_id uuid, p_organization_id uuid, p_actor text DEFAULT NULL,
                             p_reason text DEFAULT NULL, p_role text DEFAULT NULL,
                             OUT status text, OUT expires_at timestamptz)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_approve_call';
COMMENT ON FUNCTION approve_call(uuid, uuid, text, text, text) IS
'Approves a call that open_call() answered with approval_required. The caller then repeats its request with the approval''s id, before expires_at (24 hours from now), and it is made once. p_role is the role of the actor, admin or owner (NULL: the backend has decided); with PostgREST claims it is their holdfast_role. NOTIFY holdfast_approvals tells of it. Raises PT403, PT404, PT409 when it was decided before or has expired.';

CREATE FUNCTION refuse_call(p_approval_id uuid, p_organization_id uuid, p_actor text DEFAULT NULL,
                            p_reason text DEFAULT NULL, p_role text DEFAULT NULL,
                            OUT status text, OUT expires_at timestamptz)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_refuse_call';
COMMENT ON FUNCTION refuse_call(uuid, uuid, text, text, text) IS
'Refuses a call that waits for an approval: with its id, open_call() then raises PT403 with p_reason. Roles and errors as approve_call().';

CREATE FUNCTION expire_approvals(p_most integer DEFAULT 1000) RETURNS bigint
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_expire_approvals';
COMMENT ON FUNCTION expire_approvals(integer) IS
'Ends approvals that nobody decided on, or used, in time; each leaves a row in ai_audit_log. How many, p_most (1 to 10000) at most. It is a duty of run_maintenance(): what has run out is good for nothing before that too. Raises PT400.';

CREATE FUNCTION list_approvals(p_organization_id uuid, p_status text DEFAULT NULL, p_approval_id uuid DEFAULT NULL,
                               p_limit integer DEFAULT 50)
    RETURNS TABLE (approval_id uuid, status text, estimated_cost numeric, threshold numeric, provider text, model text,
                   prompt_tokens integer, completion_tokens integer, user_id text, api_key_id uuid, workflow_id uuid,
                   route text, created_at timestamptz, expires_at timestamptz, decided_at timestamptz, decided_by text,
                   reason text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit is %, outside 1 to 1000.', coalesce(p_limit::text, 'NULL') USING ERRCODE = 'PT400';
    ELSIF p_status NOT IN ('waiting', 'approved', 'refused', 'expired', 'used') THEN
        RAISE EXCEPTION 'There is no status "%".', p_status
            USING ERRCODE = 'PT400', HINT = 'An approval is waiting, approved, refused, expired or used.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    RETURN QUERY
    SELECT a.approval_id, s.status, a.estimated_cost, a.threshold, a.provider, a.model, a.prompt_tokens,
           a.completion_tokens, a.user_id, a.api_key_id, a.workflow_id, a.route, a.created_at, a.expires_at, a.decided_at,
           a.decided_by, a.reason
    FROM holdfast.ai_approvals a, LATERAL (
        SELECT CASE WHEN a.idempotency_key IS NOT NULL THEN 'used'
                    WHEN a.status IN ('waiting', 'approved') AND a.expires_at <= clock_timestamp() THEN 'expired'
                    ELSE a.status END AS status) s
    WHERE a.organization_id = p_organization_id AND (p_approval_id IS NULL OR a.approval_id = p_approval_id)
      AND (p_status IS NULL OR s.status = p_status)
    ORDER BY a.created_at DESC, a.approval_id LIMIT p_limit;
END $$;
COMMENT ON FUNCTION list_approvals(uuid, text, uuid, integer) IS
'The newest approvals of the organization: of one status (waiting, approved, refused, expired, used), or one alone. used: the approved call was made. Raises PT400, PT403.';
