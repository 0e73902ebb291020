-- Housekeeping: what is done from time to time, by the server itself (holdfast.database) or by whoever calls it.

-- One line a duty. statement returns how much it did; when that reaches most, there may be more, and it is repeated.
CREATE FUNCTION maintenance_duties(OUT place integer, OUT duty text, OUT most bigint, OUT statement text)
    RETURNS SETOF record
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES (1, 'seal_ledger', 100000::bigint, 'SELECT holdfast.seal_ledger(100000)'),
           (2, 'expire_holds', 1000, 'SELECT holdfast.expire_holds(1000)'),
           (3, 'reap_run_steps', 1000, 'SELECT holdfast.reap_run_steps(1000)'),
           (4, 'reap_workflow_leases', 1000, 'SELECT holdfast.reap_workflow_leases(1000)'),
           (5, 'remove_ended_tokens', 1000, 'SELECT holdfast.remove_ended_tokens(1000)'),
           (6, 'keep_audit_months', 1000, 'SELECT holdfast.keep_audit_months()'),
           (7, 'trim_cache', 1000, 'SELECT holdfast.trim_cache(1000)'),
           (8, 'expire_approvals', 1000, 'SELECT holdfast.expire_approvals(1000)')
$$;
COMMENT ON FUNCTION maintenance_duties() IS
'What run_maintenance() does, in this order: the name of each duty, the SQL statement that does it and returns how much it did, and from how much on there may be more to do.';

CREATE FUNCTION maintenance_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 5208481463870292302 $$;
COMMENT ON FUNCTION maintenance_lock() IS
'The advisory lock that a session holds while it does the maintenance of this database.';

CREATE FUNCTION run_duty(p_duty text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    call text := (SELECT d.statement FROM holdfast.maintenance_duties() d WHERE d.duty = p_duty);
    done bigint;
BEGIN
    IF call IS NULL THEN
        RAISE EXCEPTION 'There is no duty "%".', p_duty
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('duty', p_duty),
                  HINT = 'holdfast.maintenance_duties() lists them.';
    END IF;
    EXECUTE call INTO done;
    RETURN done;
END $$;
COMMENT ON FUNCTION run_duty(text) IS
'Does one duty of maintenance_duties() once and returns how much it did. Raises PT404 for an unknown one, and what the duty raises.';

CREATE FUNCTION run_maintenance(OUT duty text, OUT done bigint, OUT error text)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- One session at a time; the others have nothing to wait for.
    IF NOT pg_try_advisory_xact_lock(holdfast.maintenance_lock()) THEN
        RETURN;
    END IF;
    FOR duty IN SELECT d.duty FROM holdfast.maintenance_duties() d ORDER BY d.place LOOP
        done := NULL;
        error := NULL;
        BEGIN
            done := holdfast.run_duty(duty);
        EXCEPTION WHEN OTHERS THEN
            error := SQLERRM;
            RAISE WARNING 'holdfast duty %: %', duty, SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION run_maintenance() IS
'Does every duty of maintenance_duties() once and returns a row for each: how much it did, or its error; one that fails keeps none of the others from being done. No row while another session does the maintenance of this database. Where the server does it by itself (holdfast.database) nobody needs to call this; else call it every minute or so, from pg_cron for instance.';
