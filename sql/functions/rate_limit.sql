-- How often callers may call: six layers, one decision.

CREATE FUNCTION rate_limits_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'holdfast_rate_limits_changed';
COMMENT ON FUNCTION rate_limits_changed() IS 'Trigger: tells every server process to look rate limits up anew.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE ON rate_limits
    FOR EACH STATEMENT EXECUTE FUNCTION rate_limits_changed();
ALTER TABLE rate_limits ENABLE ALWAYS TRIGGER tell_every_process;

CREATE FUNCTION check_rate_limit(p_organization_id uuid, p_user_id text DEFAULT NULL, p_ip inet DEFAULT NULL,
                                 p_api_key_id uuid DEFAULT NULL, p_provider text DEFAULT NULL,
                                 p_tokens integer DEFAULT 0, p_route text DEFAULT NULL,
                                 p_starts_run boolean DEFAULT false, p_workflow_id uuid DEFAULT NULL,
                                 OUT allowed boolean, OUT layer text, OUT unit text, OUT limit_count bigint,
                                 OUT remaining bigint, OUT reset_ms integer, OUT retry_after_ms integer)
    LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_check_rate_limit';
COMMENT ON FUNCTION check_rate_limit(uuid, text, inet, uuid, text, integer, text, boolean, uuid) IS
'Counts one request of p_tokens tokens on every layer that applies (user, ip, api_key, workflow where p_starts_run, provider, global, in this order), or on none when one of them refuses. allowed: the figures are those of the layer with the fewest requests left. Not allowed: layer is the first that refused, unit says by what (requests, tokens, cooldown), retry_after_ms when the same request fits; a row of ai_audit_log (event limited) is kept and PostgREST answers 429. Exact in any sliding window, for all sessions together. Raises PT400, PT403, and 55000 where the library is not in shared_preload_libraries.';

CREATE FUNCTION get_rate_limits(OUT layer text, OUT route text, OUT requests integer, OUT tokens bigint,
                                OUT window_ms integer, OUT is_shipped boolean)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT layer, route, requests, tokens, window_ms, is_shipped
    FROM (SELECT l.layer, l.route, l.requests, l.tokens, l.window_ms, false AS is_shipped FROM holdfast.rate_limits l
          UNION ALL
          SELECT s.layer, '', s.requests, NULL, s.window_ms, true
          FROM (VALUES ('user', 100, 60000), ('ip', 300, 60000), ('api_key', 500, 60000), ('workflow', 20, 300000),
                       ('provider', 1000, 60000), ('global', 5000, 60000)) s(layer, requests, window_ms)
          WHERE NOT EXISTS (SELECT FROM holdfast.rate_limits l WHERE l.layer = s.layer AND l.route = '')) limits
    ORDER BY array_position('{user,ip,api_key,workflow,provider,global}', layer), route
$$;
COMMENT ON FUNCTION get_rate_limits() IS
'The limits in force: requests and tokens in any span of window_ms, NULL: unlimited. A row with a route is what this route has, counted apart. The limits of an API key of its own are in api_keys.';

CREATE FUNCTION set_rate_limit(p_layer text, p_requests integer, p_tokens bigint DEFAULT NULL, p_route text DEFAULT '',
                               p_window interval DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    milliseconds numeric := EXTRACT(epoch FROM p_window) * 1000;
BEGIN
    IF p_layer IS NULL OR p_layer NOT IN ('user', 'ip', 'api_key', 'workflow', 'provider', 'global') THEN
        RAISE EXCEPTION 'There is no layer "%".', p_layer
            USING ERRCODE = 'PT400', DETAIL = json_build_object('field', 'p_layer', 'value', p_layer)::text,
                  HINT = 'Layers are user, ip, api_key, workflow, provider and global.';
    END IF;
    milliseconds := coalesce(milliseconds, CASE p_layer WHEN 'workflow' THEN 300000 ELSE 60000 END);
    IF p_requests < 0 OR p_tokens < 0 OR milliseconds NOT BETWEEN 100 AND 3600000 OR octet_length(p_route) > 255 THEN
        RAISE EXCEPTION 'A limit is 0 or more requests and tokens, in 100 ms to 1 hour, of a route of at most 255 bytes.'
            USING ERRCODE = 'PT400', DETAIL = json_build_object('requests', p_requests, 'tokens', p_tokens,
                                                                'windowMs', milliseconds)::text,
                  HINT = 'NULL requests or tokens are unlimited.';
    END IF;
    INSERT INTO holdfast.rate_limits (layer, route, requests, tokens, window_ms)
    VALUES (p_layer, coalesce(p_route, ''), p_requests, p_tokens, milliseconds::integer)
    ON CONFLICT ON CONSTRAINT rate_limits_pkey
    DO UPDATE SET requests = excluded.requests, tokens = excluded.tokens, window_ms = excluded.window_ms, updated_at = now();
    RETURN true;
END $$;
COMMENT ON FUNCTION set_rate_limit(text, integer, bigint, text, interval) IS
'Sets the limit of a layer, or of a layer on one route, which is then counted apart: p_requests and p_tokens in any span of p_window (NULL: 1 minute, for workflow 5), NULL: unlimited. True. Raises PT400.';

CREATE FUNCTION reset_rate_limit(p_layer text, p_route text DEFAULT '') RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (DELETE FROM holdfast.rate_limits l WHERE l.layer = p_layer AND l.route = p_route RETURNING 1)
    SELECT EXISTS (SELECT FROM gone)
$$;
COMMENT ON FUNCTION reset_rate_limit(text, text) IS
'Makes the limit of a layer, or of a layer on one route, as shipped. Whether it was another.';

CREATE FUNCTION rate_limit_memory(OUT active_keys bigint, OUT most_keys bigint, OUT blocks bigint, OUT most_blocks bigint,
                                  OUT decisions bigint, OUT violations bigint, OUT given_up bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'holdfast_rate_limit_memory';
COMMENT ON FUNCTION rate_limit_memory() IS
'What rate limits hold in shared memory: keys and blocks of 31 requests, with the room there is; and since the server''s start, decisions, refusals, and keys that were given up for others. When keys are given up often, raise holdfast.rate_limit_memory. Raises 55000.';
