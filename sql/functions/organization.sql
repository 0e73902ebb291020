-- Who may call, and for whom.

CREATE FUNCTION require_organization(p_organization_id uuid) RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'holdfast_require_organization';
COMMENT ON FUNCTION require_organization(uuid) IS
'True when the caller may act for the organization: without PostgREST claims, with the service role, with an organization_id claim that names it, or as an operator whose claims name none. Raises PT403 otherwise.';

CREATE FUNCTION create_api_key(p_organization_id uuid, p_name text, p_user_id text DEFAULT NULL,
                               p_role text DEFAULT 'member', p_expires_at timestamptz DEFAULT NULL,
                               p_allowed_models text[] DEFAULT NULL, p_allowed_providers text[] DEFAULT NULL,
                               p_requests_per_minute integer DEFAULT NULL, p_tokens_per_minute bigint DEFAULT NULL,
                               OUT api_key_id uuid, OUT api_key text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_organization_id IS NULL OR coalesce(p_name, '') = '' THEN
        RAISE EXCEPTION 'A key needs an organization and a name.'
            USING ERRCODE = 'PT400', HINT = 'Give p_organization_id and p_name.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_role IS NULL OR p_role NOT IN ('owner', 'admin', 'member', 'guest') THEN
        RAISE EXCEPTION 'Role "%" does not exist.', p_role
            USING ERRCODE = 'PT400', HINT = 'Roles are owner, admin, member and guest.';
    END IF;
    IF p_requests_per_minute < 0 OR p_tokens_per_minute < 0 OR p_allowed_models = '{}' OR p_allowed_providers = '{}'
       OR array_position(p_allowed_models, NULL) > 0 OR array_position(p_allowed_providers, NULL) > 0 THEN
        RAISE EXCEPTION 'A key''s limits are 0 or more, and its lists of models and providers name some.'
            USING ERRCODE = 'PT400', HINT = 'Leave out what is not to be limited.';
    END IF;
    api_key := holdfast.new_api_key(p_organization_id);
    INSERT INTO holdfast.api_keys AS k (organization_id, key_hash, name, user_id, role, expires_at, allowed_models,
                                        allowed_providers, requests_per_minute, tokens_per_minute)
    VALUES (p_organization_id, sha256(convert_to(api_key, 'UTF8')), p_name, p_user_id, p_role, p_expires_at,
            (SELECT array_agg(DISTINCT holdfast.normalize_model(m)) FROM unnest(p_allowed_models) m),
            (SELECT array_agg(DISTINCT lower(p)) FROM unnest(p_allowed_providers) p), p_requests_per_minute, p_tokens_per_minute)
    RETURNING k.api_key_id INTO create_api_key.api_key_id;
END $$;
COMMENT ON FUNCTION create_api_key(uuid, text, text, text, timestamptz, text[], text[], integer, bigint) IS
'Makes an API key of the organization and returns it once, as hf_<organization>_<secret>; only its SHA-256 hash is kept. p_allowed_models and p_allowed_providers bind it to these, p_requests_per_minute and p_tokens_per_minute take the place of the rate limit of the layer api_key. Raises PT400 for a missing name, an unknown role, an empty list or a limit below 0, PT403 for another organization.';

CREATE FUNCTION rotate_api_key(p_api_key_id uuid, p_organization_id uuid, p_grace interval DEFAULT '0',
                               OUT api_key_id uuid, OUT api_key text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old holdfast.api_keys;
BEGIN
    IF p_grace IS NULL OR p_grace < interval '0' OR p_grace > interval '30 days' THEN
        RAISE EXCEPTION 'p_grace is not 0 to 30 days.'
            USING ERRCODE = 'PT400', DETAIL = json_build_object('field', 'p_grace', 'value', p_grace::text)::text;
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT * INTO old FROM holdfast.api_keys k
    WHERE k.organization_id = p_organization_id AND k.api_key_id = p_api_key_id FOR NO KEY UPDATE;
    IF old.api_key_id IS NULL THEN
        RAISE EXCEPTION 'The organization has no API key %.', p_api_key_id
            USING ERRCODE = 'PT404', DETAIL = json_build_object('apiKeyId', p_api_key_id)::text;
    ELSIF old.is_token THEN
        RAISE EXCEPTION '% stands for a token, which only its issuer makes anew.', p_api_key_id
            USING ERRCODE = 'PT409', DETAIL = json_build_object('apiKeyId', p_api_key_id)::text;
    ELSIF old.revoked_at IS NOT NULL OR old.expires_at <= now() OR old.replaced_by IS NOT NULL THEN
        RAISE EXCEPTION 'API key % was revoked, has expired or was rotated before.', p_api_key_id
            USING ERRCODE = 'PT409', DETAIL = json_build_object('apiKeyId', p_api_key_id, 'revokedAt', old.revoked_at,
                                                                'expiresAt', old.expires_at, 'replacedBy', old.replaced_by)::text,
                  HINT = 'Make a new key with holdfast.create_api_key().';
    END IF;
    api_key := holdfast.new_api_key(p_organization_id);
    INSERT INTO holdfast.api_keys AS k (organization_id, key_hash, name, user_id, role, expires_at, allowed_models,
                                        allowed_providers, requests_per_minute, tokens_per_minute)
    VALUES (p_organization_id, sha256(convert_to(api_key, 'UTF8')), old.name, old.user_id, old.role, old.expires_at,
            old.allowed_models, old.allowed_providers, old.requests_per_minute, old.tokens_per_minute)
    RETURNING k.api_key_id INTO rotate_api_key.api_key_id;
    UPDATE holdfast.api_keys k
    SET replaced_by = rotate_api_key.api_key_id,
        revoked_at = CASE WHEN p_grace = interval '0' THEN now() END,
        expires_at = CASE WHEN p_grace = interval '0' THEN k.expires_at ELSE least(k.expires_at, now() + p_grace) END
    WHERE k.organization_id = p_organization_id AND k.api_key_id = p_api_key_id;
END $$;
COMMENT ON FUNCTION rotate_api_key(uuid, uuid, interval) IS
'Makes a new API key with the old one''s name, user, role, expiry and bounds, and returns it once. The old one ends at once, or works beside it for p_grace (at most 30 days). Raises PT400, PT403, PT404 for an unknown key, PT409 for one that has ended, was rotated before or stands for a token.';

CREATE FUNCTION new_api_key(p_organization_id uuid) RETURNS text
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- Two random uuids give 244 random bits; hashed to 32 bytes for an even spread.
    SELECT 'hf_' || replace(p_organization_id::text, '-', '') || '_'
        || rtrim(translate(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), E'+/\n', '-_'), '=')
$$;
COMMENT ON FUNCTION new_api_key(uuid) IS 'The text of a new API key, as hf_<organization>_<secret>. It is kept nowhere.';

CREATE FUNCTION revoke_api_key(p_api_key_id uuid, p_organization_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    UPDATE holdfast.api_keys SET revoked_at = coalesce(revoked_at, now())
    WHERE organization_id = p_organization_id AND api_key_id = p_api_key_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization has no API key %.', p_api_key_id USING ERRCODE = 'PT404';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION revoke_api_key(uuid, uuid) IS
'Makes an API key useless from the next call on. True; a key that was revoked before stays so. Raises PT404 for an unknown key.';

CREATE FUNCTION authenticate_key(p_organization_id uuid, p_key_hash bytea,
                                 OUT api_key_id uuid, OUT user_id text, OUT role text)
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_authenticate_key';
COMMENT ON FUNCTION authenticate_key(uuid, bytea) IS
'Who the API key with this SHA-256 hash stands for. Raises PT401 when it is unknown, revoked or expired.';
