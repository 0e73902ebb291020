-- Rate limits that are not as shipped. What they refuse is in the audit log.

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
