-- What an organization has decided for all its calls.

CREATE FUNCTION get_organization_settings(p_organization_id uuid, OUT redact_for_provider boolean, OUT cache text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT coalesce(s.redact_for_provider, false), coalesce(s.cache, 'asked') INTO redact_for_provider, cache
    FROM (VALUES (p_organization_id)) asked(id) LEFT JOIN holdfast.organization_settings s ON s.organization_id = asked.id;
END $$;
COMMENT ON FUNCTION get_organization_settings(uuid) IS
'What the organization has decided for all its calls, or the defaults. redact_for_provider: providers get prompts as redact_text() leaves them. cache: answers are kept for no request (off), for those that ask for it (asked), or for all that do not forbid it (all). Raises PT403.';

CREATE FUNCTION set_organization_settings(p_organization_id uuid, p_redact_for_provider boolean DEFAULT NULL,
                                          p_cache text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_organization_id IS NULL OR p_cache NOT IN ('off', 'asked', 'all') THEN
        RAISE EXCEPTION 'An organization is needed, and p_cache is off, asked or all.'
            USING ERRCODE = 'PT400', DETAIL = json_build_object('cache', p_cache)::text;
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    INSERT INTO holdfast.organization_settings AS s (organization_id, redact_for_provider, cache)
    VALUES (p_organization_id, coalesce(p_redact_for_provider, false), coalesce(p_cache, 'asked'))
    ON CONFLICT (organization_id) DO UPDATE
    SET redact_for_provider = coalesce(p_redact_for_provider, s.redact_for_provider), cache = coalesce(p_cache, s.cache);
    -- What was answered to another prompt, or is wanted no more.
    IF p_redact_for_provider IS NOT NULL OR p_cache = 'off' THEN
        PERFORM holdfast.clear_cache(p_organization_id);
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION set_organization_settings(uuid, boolean, text) IS
'Sets what the organization decides for all its calls, from the next one on; what is NULL stays as it is. p_redact_for_provider: providers get prompts as redact_text() leaves them. p_cache: answers are kept for no request (off), for those that ask for it (asked), or for all that do not forbid it (all). Where either changes what is answered, what is kept is forgotten. Raises PT400, PT403.';
