-- Rate limits that are not as shipped, and what they refused.

CREATE TABLE rate_limits (
    layer text NOT NULL CHECK (layer IN ('user', 'ip', 'api_key', 'workflow', 'provider', 'global')),
    route text NOT NULL DEFAULT '' CHECK (octet_length(route) <= 255),
    requests integer CHECK (requests >= 0),
    tokens bigint CHECK (tokens >= 0),
    window_ms integer NOT NULL CHECK (window_ms BETWEEN 100 AND 3600000),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (layer, route)
);
COMMENT ON TABLE rate_limits IS
'Limits of a layer that an operator set: requests and tokens in any span of window_ms, NULL: unlimited. A row with a route counts the requests of that route apart from all others. What has no row here is as get_rate_limits() shows it.';
SELECT pg_extension_config_dump('rate_limits', '');

CREATE TABLE rate_limit_denials (
    organization_id uuid NOT NULL,
    denial_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    layer text NOT NULL,
    unit text NOT NULL,
    limit_count bigint NOT NULL,
    window_ms integer NOT NULL,
    retry_after_ms integer NOT NULL,
    tokens integer NOT NULL,
    user_id text,
    api_key_id uuid,
    ip inet,
    provider text,
    route text,
    workflow_id uuid,
    PRIMARY KEY (organization_id, denial_id)
);
COMMENT ON TABLE rate_limit_denials IS
'Append-only: one row for each request that a rate limit refused: which layer, whether by requests, by tokens or because of a cooldown (unit), its limit in any span of window_ms, and how long the caller was told to wait.';
SELECT pg_extension_config_dump('rate_limit_denials', '');
