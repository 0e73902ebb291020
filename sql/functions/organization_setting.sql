-- What an organization has decided for all its calls.

CREATE FUNCTION get_organization_settings(p_organization_id uuid, OUT redact_for_provider boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT coalesce(s.redact_for_provider, false) INTO redact_for_provider
    FROM (VALUES (p_organization_id)) asked(id) LEFT JOIN holdfast.organization_settings s ON s.organization_id = asked.id;
END $$;
COMMENT ON FUNCTION get_organization_settings(uuid) IS
'What the organization has decided for all its calls, or the defaults. redact_for_provider: providers get prompts as redact_text() leaves them. Raises PT403.';

CREATE FUNCTION set_organization_settings(p_organization_id uuid, p_redact_for_provider boolean DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_organization_id IS NULL THEN
        RAISE EXCEPTION 'p_organization_id is NULL.' USING ERRCODE = 'PT400', DETAIL = '{"field": "p_organization_id"}';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    INSERT INTO holdfast.organization_settings AS s (organization_id, redact_for_provider)
    VALUES (p_organization_id, coalesce(p_redact_for_provider, false))
    ON CONFLICT (organization_id) DO UPDATE
    SET redact_for_provider = coalesce(p_redact_for_provider, s.redact_for_provider);
    RETURN true;
END $$;
COMMENT ON FUNCTION set_organization_settings(uuid, boolean) IS
'Sets what the organization decides for all its calls, from the next one on; what is NULL stays as it is. p_redact_for_provider: providers get prompts as redact_text() leaves them. Raises PT400, PT403.';
