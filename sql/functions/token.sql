-- Bearers of tokens that an identity provider signed. The gateway has checked the signature; here they are keys.

CREATE FUNCTION register_token(p_organization_id uuid, p_token_hash bytea, p_user_id text, p_role text,
                               p_expires_at timestamptz) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    registered uuid;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_organization_id IS NULL OR p_token_hash IS NULL OR octet_length(p_token_hash) <> 32
       OR coalesce(p_user_id, '') = '' OR octet_length(p_user_id) > 255
       OR p_role IS NULL OR p_role NOT IN ('owner', 'admin', 'member', 'guest') THEN
        RAISE EXCEPTION 'A token needs an organization, the SHA-256 hash of its text, a user of at most 255 bytes and a role.'
            USING ERRCODE = 'PT400', HINT = 'Roles are owner, admin, member and guest.';
    ELSIF p_expires_at IS NULL OR p_expires_at <= now() OR p_expires_at > now() + interval '7 days' THEN
        RAISE EXCEPTION 'The token ends at %, which is not within the next 7 days.', p_expires_at
            USING ERRCODE = 'PT401', DETAIL = json_build_object('expiresAt', p_expires_at)::text,
                  HINT = 'Let the identity provider sign a new token that ends sooner.';
    END IF;
    INSERT INTO holdfast.api_keys AS k (organization_id, key_hash, name, user_id, role, expires_at, is_token)
    VALUES (p_organization_id, p_token_hash, 'token', p_user_id, p_role, p_expires_at, true)
    ON CONFLICT (organization_id, key_hash) DO NOTHING
    RETURNING k.api_key_id INTO registered;
    IF registered IS NULL THEN
        SELECT k.api_key_id INTO registered FROM holdfast.api_keys k
        WHERE k.organization_id = p_organization_id AND k.key_hash = p_token_hash;
    END IF;
    RETURN registered;
END $$;
COMMENT ON FUNCTION register_token(uuid, bytea, text, text, timestamptz) IS
'Makes the bearer of a signed token a key of the organization until p_expires_at, and returns its id; a token that is known stays as it is, revoked ones too. The caller has checked the signature: grant this function only to gateways that are to take tokens. Raises PT400 for a bad value, PT401 for a token that has ended or ends later than in 7 days, PT403 for another organization.';

CREATE FUNCTION remove_ended_tokens(p_most integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    IF p_most IS NULL OR p_most < 1 THEN
        RAISE EXCEPTION 'p_most is %, below 1.', p_most USING ERRCODE = 'PT400';
    END IF;
    DELETE FROM holdfast.api_keys
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM holdfast.api_keys
                            WHERE is_token AND expires_at < now() - interval '1 day' LIMIT p_most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
COMMENT ON FUNCTION remove_ended_tokens(integer) IS
'Forgets at most p_most tokens that ended a day ago or more; returns how many. Raises PT400 for less than 1.';
