-- Organizations and keys. An organization needs no row of its own: it is the uuid that its rows carry.

CREATE TABLE api_keys (
    organization_id uuid NOT NULL,
    api_key_id uuid NOT NULL DEFAULT gen_random_uuid(),
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    name text NOT NULL,
    user_id text,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member', 'guest')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    allowed_models text[],
    allowed_providers text[],
    requests_per_minute integer CHECK (requests_per_minute >= 0),
    tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
    replaced_by uuid,
    is_token boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, api_key_id),
    UNIQUE (organization_id, key_hash)
);
COMMENT ON TABLE api_keys IS
'Keys that let a caller of the gateway act for one organization. Only the SHA-256 hash of a key is kept. allowed_models (normalized) and allowed_providers bind it to these, NULL: to none in particular; requests_per_minute and tokens_per_minute are its own rate limits, NULL: those of all keys; replaced_by is the key that took its place; is_token marks one that stands for a signed token.';
CREATE INDEX api_keys_tokens ON api_keys (expires_at) WHERE is_token;
SELECT pg_extension_config_dump('api_keys', '');
