-- Providers that are left alone for a while.

CREATE FUNCTION pauses_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'holdfast_pauses_changed';
COMMENT ON FUNCTION pauses_changed() IS 'Trigger: tells every server process to read the pauses of providers anew.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON provider_pauses
    FOR EACH STATEMENT EXECUTE FUNCTION pauses_changed();
ALTER TABLE provider_pauses ENABLE ALWAYS TRIGGER tell_every_process;

CREATE FUNCTION pause_provider(p_provider text, p_for interval, p_reason text, p_model text DEFAULT '')
    RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    until timestamptz := clock_timestamp() + least(p_for, interval '1 day');
    known timestamptz;
BEGIN
    IF p_for IS NULL OR p_for < interval '0' OR p_provider IS NULL OR p_model IS NULL
       OR coalesce(octet_length(p_reason), 0) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'A pause needs a provider, a time that is not negative, and a reason of at most 255 bytes.'
            USING ERRCODE = 'PT400';
    END IF;
    SELECT paused_until INTO known FROM holdfast.provider_pauses WHERE provider = p_provider AND model = p_model;
    -- Most repeats change nothing: no process has to read the pauses again for them.
    IF known >= until - interval '1 second' THEN
        RETURN known;
    END IF;
    INSERT INTO holdfast.provider_pauses AS p (provider, model, paused_until, reason)
    VALUES (p_provider, p_model, until, p_reason)
    ON CONFLICT (provider, model) DO UPDATE
        SET paused_until = greatest(p.paused_until, excluded.paused_until), reason = excluded.reason
    RETURNING paused_until INTO until;
    RETURN until;
END $$;
COMMENT ON FUNCTION pause_provider(text, interval, text, text) IS
'Leaves a provider alone, for one model or (empty) for all: no call is routed to it until then, at most a day, whichever gateway asks. Returns until when. A pause is never shortened; DELETE its row to end it. Raises PT400.';
