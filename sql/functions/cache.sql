-- Answers kept for requests that are asked again.

CREATE FUNCTION cached_call(p_organization_id uuid, p_key_hash bytea, p_cache_key bytea, p_flight_id uuid,
                            p_asked boolean DEFAULT true, p_max_age interval DEFAULT NULL, p_entry_id uuid DEFAULT NULL,
                            p_lease interval DEFAULT '10 seconds', p_workflow_id uuid DEFAULT NULL,
                            p_user_id text DEFAULT NULL, p_idempotency_key text DEFAULT NULL,
                            p_fingerprint bytea DEFAULT NULL, p_ip inet DEFAULT NULL, p_route text DEFAULT NULL,
                            p_metadata jsonb DEFAULT '{}', p_in_batch boolean DEFAULT false,
                            OUT outcome text, OUT entry_id uuid, OUT answer text, OUT provider text, OUT model text,
                            OUT ledger_id uuid, OUT saved numeric, OUT age_ms bigint, OUT lease_ms integer,
                            OUT retry_after_ms integer, OUT rate_layer text, OUT rate_limit bigint,
                            OUT rate_remaining bigint, OUT rate_reset_ms integer)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_cached_call';
COMMENT ON FUNCTION cached_call(uuid, bytea, bytea, uuid, boolean, interval, uuid, interval, uuid, text, text, bytea, inet, text, jsonb, boolean) IS
'Answers a governed call from ai_cache, in place of open_call(). p_cache_key is the SHA-256 of the organization and all that makes the answer. outcome is cached: the answer (NULL where p_entry_id names it, since the caller has it), with a ledger entry of cost 0 and cache_hit, whose list_cost (saved) is what it would have cost in USD by the list; limited: a rate limit refused; flight: there is no answer yet, and the caller is to make it with open_call() and keep_answer(), and to say so every now and then with extend_flight() (p_lease is how long it counts as alive) or that it gave up with end_flight(); waiting: another caller is making it, look again when NOTIFY on holdfast_cache names the key in hex, or after lease_ms; pass: make the call without the cache (the organization wants none, p_asked is false and the organization caches what is asked for, the key may not call the model, or p_idempotency_key was used before). p_max_age: no older answer. Counts on the rate limits as a request without tokens. p_in_batch true is for questions that are asked in one transaction: what would be raised, and would undo the others, is the outcome failed of this one, with answer {sqlstate, message, detail, hint} as JSON. Raises PT400, PT401 (API key), PT403, PT404 (workflow).';

CREATE FUNCTION keep_answer(p_organization_id uuid, p_cache_key bytea, p_flight_id uuid, p_provider text, p_model text,
                            p_prompt_tokens integer, p_completion_tokens integer, p_answer text,
                            p_asked boolean DEFAULT true, p_ttl interval DEFAULT '24 hours',
                            p_cached_tokens integer DEFAULT 0, p_cache_write_tokens integer DEFAULT 0,
                            p_reasoning_tokens integer DEFAULT 0)
    RETURNS uuid
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_keep_answer';
COMMENT ON FUNCTION keep_answer(uuid, bytea, uuid, text, text, integer, integer, text, boolean, interval, integer, integer, integer) IS
'Keeps the answer of a call in ai_cache for p_ttl (at most 24 hours), ends its flight, tells those who wait for it, and returns the entry''s id; NULL where it is not kept, because the organization wants no cache or it is larger than holdfast.cache_answer_kb. Raises PT400, PT403.';

CREATE FUNCTION extend_flight(p_organization_id uuid, p_cache_key bytea, p_flight_id uuid,
                              p_lease interval DEFAULT '10 seconds')
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    UPDATE holdfast.ai_cache_flights f SET lease_until = clock_timestamp() + p_lease
    WHERE f.organization_id = p_organization_id AND f.cache_key = p_cache_key AND f.flight_id = p_flight_id;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION extend_flight(uuid, bytea, uuid, interval) IS
'Says that the answer of a flight is still being made. False when the flight is over, or another has taken its place. Raises PT403.';

CREATE FUNCTION end_flight(p_organization_id uuid, p_cache_key bytea, p_flight_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    awaited boolean;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    DELETE FROM holdfast.ai_cache_flights f
    WHERE f.organization_id = p_organization_id AND f.cache_key = p_cache_key AND f.flight_id = p_flight_id
    RETURNING f.is_awaited INTO awaited;
    IF awaited THEN
        PERFORM pg_notify('holdfast_cache', encode(p_cache_key, 'hex'));
    END IF;
    RETURN awaited IS NOT NULL;
END $$;
COMMENT ON FUNCTION end_flight(uuid, bytea, uuid) IS
'Ends a flight without an answer, and tells those who wait for it. False when it was over before. Raises PT403.';

CREATE FUNCTION get_cache(p_organization_id uuid, OUT entries bigint, OUT bytes bigint, OUT hits bigint,
                          OUT oldest_at timestamptz, OUT next_expiry_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT count(*), coalesce(sum(c.answer_bytes), 0), min(c.created_at), min(c.expires_at)
    INTO entries, bytes, oldest_at, next_expiry_at
    FROM holdfast.ai_cache c WHERE c.organization_id = p_organization_id AND c.expires_at > now();
    SELECT coalesce(sum(h.hits), 0) INTO hits FROM holdfast.ai_cache_hits h WHERE h.organization_id = p_organization_id;
END $$;
COMMENT ON FUNCTION get_cache(uuid) IS
'What is kept of an organization''s answers now: how many, how many bytes, and how often those were given. What that saved is in the ledger: sum(list_cost) of the entries with cache_hit. Raises PT403.';

CREATE FUNCTION clear_cache(p_organization_id uuid, p_cache_key bytea DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done bigint;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    DELETE FROM holdfast.ai_cache c
    WHERE c.organization_id = p_organization_id AND (p_cache_key IS NULL OR c.cache_key = p_cache_key);
    GET DIAGNOSTICS done = ROW_COUNT;
    DELETE FROM holdfast.ai_cache_hits h
    WHERE h.organization_id = p_organization_id AND (p_cache_key IS NULL OR h.cache_key = p_cache_key);
    RETURN done;
END $$;
COMMENT ON FUNCTION clear_cache(uuid, bytea) IS
'Forgets the answers kept for an organization, or one of them, for all gateways from the next call on, and returns how many they were. Raises PT403.';

CREATE FUNCTION trim_cache(p_most integer DEFAULT 1000) RETURNS bigint
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_trim_cache';
COMMENT ON FUNCTION trim_cache(integer) IS
'Forgets at most p_most answers of ai_cache that have expired, and as many of organizations that keep more than holdfast.cache_entries or holdfast.cache_kb, those that expire first first. Returns how many. A duty of run_maintenance().';
