-- Who may call, and for whom.

CREATE FUNCTION require_organization(p_organization_id uuid) RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'holdfast_require_organization';
COMMENT ON FUNCTION require_organization(uuid) IS
'True when the caller may act for the organization: without PostgREST claims, with the service role, or with an organization_id claim that names it. Raises PT403 otherwise.';

CREATE FUNCTION create_api_key(p_organization_id uuid, p_name text, p_user_id text DEFAULT NULL,
                               p_role text DEFAULT 'member', p_expires_at timestamptz DEFAULT NULL,
                               OUT api_key_id uuid, OUT api_key text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    secret bytea;
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
    -- Two random uuids give 244 random bits; hashed to 32 bytes for an even spread.
    secret := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
    api_key := 'hf_' || replace(p_organization_id::text, '-', '') || '_'
               || rtrim(translate(encode(secret, 'base64'), E'+/\n', '-_'), '=');
    INSERT INTO holdfast.api_keys AS k (organization_id, key_hash, name, user_id, role, expires_at)
    VALUES (p_organization_id, sha256(convert_to(api_key, 'UTF8')), p_name, p_user_id, p_role, p_expires_at)
    RETURNING k.api_key_id INTO create_api_key.api_key_id;
END $$;
COMMENT ON FUNCTION create_api_key(uuid, text, text, text, timestamptz) IS
'Makes an API key of the organization and returns it once, as hf_<organization>_<secret>; only its SHA-256 hash is kept. Raises PT400 for a missing name or unknown role, PT403 for another organization.';

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
