-- Signed tokens as keys of an organization.
\set org '''c1000000-0000-0000-0000-000000000001'''
\set hash 'sha256(''token one'')'
SELECT holdfast.register_token(:org, :hash, 'ann', 'member', now() + interval '1 hour') AS id \gset
SELECT user_id, role, api_key_id = :'id' AS same FROM holdfast.authenticate_key(:org, :hash);

-- Again: the same key, whatever is said of it then.
SELECT holdfast.register_token(:org, :hash, 'eve', 'owner', now() + interval '2 hours') = :'id' AS same;
SELECT user_id, role FROM holdfast.authenticate_key(:org, :hash);

-- A revoked one stays so.
SELECT holdfast.revoke_api_key(:'id', :org);
SELECT holdfast.register_token(:org, :hash, 'ann', 'member', now() + interval '1 hour') = :'id' AS same;
SELECT holdfast.authenticate_key(:org, :hash);

-- Only its issuer makes it anew.
\set VERBOSITY terse
SELECT holdfast.register_token(:org, sha256('token two'), 'ann', 'member', now() + interval '1 hour') AS second \gset
DO $$ BEGIN
    PERFORM holdfast.rotate_api_key(api_key_id, organization_id) FROM holdfast.api_keys
    WHERE organization_id = 'c1000000-0000-0000-0000-000000000001' AND revoked_at IS NULL;
EXCEPTION WHEN SQLSTATE 'PT409' THEN RAISE NOTICE 'refused: %', regexp_replace(SQLERRM, '^\S+', '<id>');
END $$;

-- Bad values.
SELECT holdfast.register_token(:org, 'short', 'ann', 'member', now() + interval '1 hour');
SELECT holdfast.register_token(:org, sha256('x'), '', 'member', now() + interval '1 hour');
SELECT holdfast.register_token(:org, sha256('x'), 'ann', 'king', now() + interval '1 hour');
SELECT holdfast.register_token(:org, sha256('x'), repeat('u', 256), 'member', now() + interval '1 hour');
DO $$ BEGIN
    PERFORM holdfast.register_token('c1000000-0000-0000-0000-000000000001', sha256('x'), 'ann', 'member', now());
EXCEPTION WHEN SQLSTATE 'PT401' THEN RAISE NOTICE 'refused: it has ended';
END $$;
DO $$ BEGIN
    PERFORM holdfast.register_token('c1000000-0000-0000-0000-000000000001', sha256('x'), 'ann', 'member', now() + interval '8 days');
EXCEPTION WHEN SQLSTATE 'PT401' THEN RAISE NOTICE 'refused: it ends too late';
END $$;

-- Forgotten a day after their end; keys stay.
SELECT count(*) FROM holdfast.create_api_key(:org, 'a key', p_expires_at => now() - interval '3 days');
UPDATE holdfast.api_keys SET expires_at = now() - interval '2 days' WHERE organization_id = :org AND key_hash = :hash;
SELECT holdfast.remove_ended_tokens();
SELECT holdfast.remove_ended_tokens();
SELECT name, is_token FROM holdfast.api_keys WHERE organization_id = :org ORDER BY is_token;
SELECT holdfast.remove_ended_tokens(0);
