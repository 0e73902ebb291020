-- Every kind of C++ exception and server error becomes a clean PostgreSQL error.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.probe_throw(kind text) RETURNS text LANGUAGE C AS '$libdir/holdfast', 'holdfast_probe_throw';
CREATE FUNCTION pg_temp.live_guards() RETURNS integer LANGUAGE C AS '$libdir/holdfast', 'holdfast_probe_live_guards';

CREATE FUNCTION pg_temp.caught(kind text, OUT state text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.probe_throw(kind);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
                            detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;

SELECT kind, c.* FROM unnest('{error,server,nested,bad_alloc,runtime,unknown}'::text[]) kind,
    LATERAL pg_temp.caught(kind) c;

-- Long texts are cut at a whole character.
SELECT kind, c.state, octet_length(c.message), octet_length(c.hint), right(c.message, 1)
FROM unnest('{long,wide}'::text[]) kind, LATERAL pg_temp.caught(kind) c;

-- No destructor was skipped, and the session goes on.
SELECT pg_temp.live_guards();
SELECT pg_temp.probe_throw('none');

-- Memory does not grow over 100,000 failing calls.
CREATE FUNCTION pg_temp.fail_often(times integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kinds text[] := '{error,server,nested,bad_alloc,length,runtime,unknown,long}';
BEGIN
    FOR i IN 1 .. times LOOP
        BEGIN
            PERFORM pg_temp.probe_throw(kinds[1 + i % 8]);
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.resident_kb() RETURNS bigint LANGUAGE sql AS $$
    SELECT split_part(pg_read_file('/proc/self/statm'), ' ', 2)::bigint * 4
$$;
SELECT pg_temp.fail_often(5000);
SELECT pg_temp.resident_kb() AS before \gset
SELECT pg_temp.fail_often(100000);
SELECT pg_temp.resident_kb() - :before < 4096 AS memory_stays;
SELECT pg_temp.live_guards();
