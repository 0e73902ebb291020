-- Alerts about costs.

CREATE FUNCTION get_cost_alerts(p_organization_id uuid, p_open boolean DEFAULT true, p_limit integer DEFAULT 50)
    RETURNS TABLE (id uuid, alert_type text, severity text, provider text, model text, threshold_value numeric,
                   actual_value numeric, message text, metadata jsonb, created_at timestamptz, resolved_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit is %, outside 1 to 1000.', coalesce(p_limit::text, 'NULL') USING ERRCODE = 'PT400';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    RETURN QUERY
    SELECT a.id, a.alert_type, a.severity, a.provider, a.model, a.threshold_value, a.actual_value, a.message, a.metadata,
           a.created_at, a.resolved_at
    FROM holdfast.ai_cost_alerts a
    WHERE a.organization_id = p_organization_id AND (NOT coalesce(p_open, false) OR a.resolved_at IS NULL)
    ORDER BY a.created_at DESC, a.id LIMIT p_limit;
END $$;
COMMENT ON FUNCTION get_cost_alerts(uuid, boolean, integer) IS
'The newest alerts of the organization: p_open leaves out those that were resolved. Raises PT400, PT403.';

CREATE FUNCTION resolve_cost_alert(p_alert_id uuid, p_organization_id uuid) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    resolved timestamptz;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    UPDATE holdfast.ai_cost_alerts a SET resolved_at = coalesce(a.resolved_at, now())
    WHERE a.organization_id = p_organization_id AND a.id = p_alert_id RETURNING a.resolved_at INTO resolved;
    IF resolved IS NULL THEN
        RAISE EXCEPTION 'The organization has no such alert.'
            USING ERRCODE = 'PT404', DETAIL = json_build_object('alertId', p_alert_id)::text;
    END IF;
    RETURN resolved;
END $$;
COMMENT ON FUNCTION resolve_cost_alert(uuid, uuid) IS
'Marks an alert as resolved and returns when it was. The same oddness of the same day raises no other. Raises PT403, PT404.';
