-- The audit log: who may keep what of it, months, queries.

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ai_audit_log ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ai_audit_log_rest
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE ai_audit_log_rest ENABLE ALWAYS TRIGGER append_only;

CREATE FUNCTION audit_settings_changed() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'holdfast_audit_settings_changed';
COMMENT ON FUNCTION audit_settings_changed() IS 'Trigger: tells every server process to read the settings of audits anew.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_settings
    FOR EACH STATEMENT EXECUTE FUNCTION audit_settings_changed();
ALTER TABLE audit_settings ENABLE ALWAYS TRIGGER tell_every_process;

CREATE FUNCTION set_audit(p_organization_id uuid, p_enabled boolean DEFAULT true, p_bodies text DEFAULT 'off')
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_organization_id IS NULL OR p_enabled IS NULL OR p_bodies IS NULL OR p_bodies NOT IN ('off', 'redacted', 'full') THEN
        RAISE EXCEPTION 'An audit is of an organization, enabled or not, with bodies off, redacted or full.'
            USING ERRCODE = 'PT400', DETAIL = json_build_object('field', 'p_bodies', 'value', p_bodies)::text;
    END IF;
    INSERT INTO holdfast.audit_settings AS s (organization_id, enabled, bodies)
    VALUES (p_organization_id, p_enabled, p_bodies)
    ON CONFLICT (organization_id) DO UPDATE
        SET enabled = excluded.enabled, bodies = excluded.bodies, updated_at = now();
    RETURN true;
END $$;
COMMENT ON FUNCTION set_audit(uuid, boolean, text) IS
'Sets what ai_audit_log keeps of an organization: p_enabled false leaves only denials and refused requests on record; p_bodies off keeps no prompts and answers, redacted without what looks like personal data or a key, full as they were. True. Raises PT400, PT403.';

CREATE FUNCTION audit_month_table(p_month date) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$ SELECT 'ai_audit_log_' || pg_catalog.to_char(p_month, 'YYYYMM') $$;
COMMENT ON FUNCTION audit_month_table(date) IS 'The name of the partition of ai_audit_log that holds the month (UTC) of this day.';

-- Appends go straight to partitions, so neither this nor what it waits for keeps them waiting for long.
CREATE FUNCTION make_audit_month(p_month date) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    month date := date_trunc('month', p_month);
    name text := holdfast.audit_month_table(month);
    from_time timestamptz := month::timestamp AT TIME ZONE 'UTC';
    to_time timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    -- Rows of this month that stand in the rest stay there: none is ever moved.
    IF to_regclass('holdfast.' || name) IS NOT NULL
       OR EXISTS (SELECT FROM holdfast.ai_audit_log_rest r WHERE r.created_at >= from_time AND r.created_at < to_time) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE holdfast.%I (LIKE holdfast.ai_audit_log_rest INCLUDING INDEXES)', name);
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON holdfast.%I'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION holdfast.refuse_change()', name);
    EXECUTE format('ALTER TABLE holdfast.%I ENABLE ALWAYS TRIGGER append_only', name);
    EXECUTE format('COMMENT ON TABLE holdfast.%I IS %L', name, 'A month of ai_audit_log.');
    PERFORM holdfast.keep_tenants_apart(format('holdfast.%I', name)::regclass);
    EXECUTE format('ALTER TABLE holdfast.ai_audit_log ATTACH PARTITION holdfast.%I FOR VALUES FROM (%L) TO (%L)',
                   name, from_time, to_time);
    RETURN true;
END $$;
COMMENT ON FUNCTION make_audit_month(date) IS
'Makes the partition of ai_audit_log for the month of this day. False when it is there, or when rows of that month stand in ai_audit_log_rest, where the month then stays.';

CREATE FUNCTION drop_audit_before(p_time timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    name text;
    dropped bigint := 0;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'holdfast.ai_audit_log'::regclass AND c.relname ~ '^ai_audit_log_\d{6}$'
          AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= p_time
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE holdfast.%I', name);
        dropped := dropped + 1;
    END LOOP;
    IF EXISTS (SELECT FROM holdfast.ai_audit_log_rest)
       AND NOT EXISTS (SELECT FROM holdfast.ai_audit_log_rest r WHERE r.created_at >= p_time) THEN
        ALTER TABLE holdfast.ai_audit_log_rest DISABLE TRIGGER append_only;
        TRUNCATE holdfast.ai_audit_log_rest;
        ALTER TABLE holdfast.ai_audit_log_rest ENABLE ALWAYS TRIGGER append_only;
        dropped := dropped + 1;
    END IF;
    RETURN dropped;
END $$;
COMMENT ON FUNCTION drop_audit_before(timestamptz) IS
'Drops the months of ai_audit_log that ended before this time, and empties ai_audit_log_rest once all of it is older. How many were dropped.';

CREATE FUNCTION keep_audit_months() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    days integer := coalesce(nullif(current_setting('holdfast.audit_retention_days', true), '')::integer, 365);
    this_month date := date_trunc('month', now() AT TIME ZONE 'UTC');
    done bigint;
BEGIN
    SELECT count(*) INTO done FROM generate_series(0, 2) ahead
    WHERE holdfast.make_audit_month((this_month + make_interval(months => ahead))::date);
    IF days > 0 THEN
        done := done + holdfast.drop_audit_before(now() - make_interval(days => days));
    END IF;
    RETURN done;
END $$;
COMMENT ON FUNCTION keep_audit_months() IS
'Maintenance: makes the partitions of ai_audit_log for this month and the next two, and drops what is older than holdfast.audit_retention_days (0: nothing). How many were made and dropped.';

CREATE FUNCTION record_refusal(p_organization_id uuid, p_key_hash bytea, p_status integer, p_code text,
                               p_request_id uuid DEFAULT NULL, p_correlation_id text DEFAULT NULL,
                               p_route text DEFAULT NULL, p_provider text DEFAULT NULL, p_model text DEFAULT NULL,
                               p_user_id text DEFAULT NULL, p_workflow_id uuid DEFAULT NULL)
    RETURNS boolean
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_record_refusal';
COMMENT ON FUNCTION record_refusal(uuid, bytea, integer, text, uuid, text, text, text, text, text, uuid) IS
'Leaves an audit row (event refused) for a request that open_call() refused by raising, which leaves no row by itself: p_status is the HTTP status it was answered, p_code the error''s. True. Raises PT400, PT401 for a key that is not one, PT403.';

-- The least id that a row of this moment or later can have.
CREATE FUNCTION audit_id_floor(p_time timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM p_time) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
COMMENT ON FUNCTION audit_id_floor(timestamptz) IS
'The least audit_id that a row of ai_audit_log from this moment on can have, to the millisecond.';

CREATE FUNCTION get_audit_log(p_organization_id uuid, p_event text DEFAULT NULL, p_request_id uuid DEFAULT NULL,
                              p_correlation_id text DEFAULT NULL, p_hold_id uuid DEFAULT NULL,
                              p_workflow_id uuid DEFAULT NULL, p_run_id uuid DEFAULT NULL, p_step_id text DEFAULT NULL,
                              p_run_group uuid DEFAULT NULL, p_replay_token uuid DEFAULT NULL, p_user_id text DEFAULT NULL,
                              p_api_key_id uuid DEFAULT NULL, p_provider text DEFAULT NULL, p_model text DEFAULT NULL,
                              p_from timestamptz DEFAULT NULL, p_to timestamptz DEFAULT NULL, p_after uuid DEFAULT NULL,
                              p_limit integer DEFAULT 100)
    RETURNS TABLE (audit_id uuid, created_at timestamptz, event text, status integer, request_id uuid,
                   correlation_id text, hold_id uuid, workflow_id uuid, run_id uuid, step_id text, run_group uuid,
                   replay_token uuid, user_id text, api_key_id uuid, route text, provider text, model text,
                   prompt_tokens integer, completion_tokens integer, cost numeric, latency_ms integer,
                   fallback_used boolean, routing jsonb, detail jsonb, request_body text, response_body text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The ids that few rows share come first and are looked up by their own index, whatever else is asked for.
    found text := CASE WHEN p_hold_id IS NOT NULL THEN 'a.hold_id = $4'
                       WHEN p_request_id IS NOT NULL THEN '(a.request_id = $2 OR a.correlation_id = $2::text)'
                       WHEN coalesce(p_run_id, p_replay_token) IS NOT NULL THEN 'a.run_id = $6'
                       WHEN p_run_group IS NOT NULL THEN 'a.run_group = $8' END;
    run uuid := p_run_id;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit is %, outside 1 to 1000.', p_limit
            USING ERRCODE = 'PT400', DETAIL = json_build_object('field', 'p_limit', 'value', p_limit)::text;
    END IF;
    IF p_replay_token IS NOT NULL AND run IS NULL THEN
        SELECT r.run_id INTO run FROM holdfast.workflow_runs r
        WHERE r.organization_id = p_organization_id AND r.replay_token = p_replay_token;
    END IF;
    RETURN QUERY EXECUTE
        CASE WHEN found IS NULL THEN '' ELSE
            'WITH found AS MATERIALIZED (SELECT * FROM holdfast.ai_audit_log a WHERE a.organization_id = $16 AND '
            || found || ') ' END
        || 'SELECT a.audit_id, a.created_at, a.event, a.status,'
           ' coalesce(a.request_id, CASE WHEN a.correlation_id ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'''
           '                             THEN a.correlation_id::uuid END),'
           ' a.correlation_id, a.hold_id, a.workflow_id, a.run_id, a.step_id, a.run_group, a.replay_token, a.user_id,'
           ' a.api_key_id, a.route, a.provider, a.model, a.prompt_tokens, a.completion_tokens, a.cost, a.latency_ms,'
           ' a.fallback_used, a.routing, a.detail, a.request_body, a.response_body FROM '
        || CASE WHEN found IS NULL THEN 'holdfast.ai_audit_log' ELSE 'found' END || ' a WHERE a.organization_id = $16'
        || CASE WHEN p_event IS NULL THEN '' ELSE ' AND a.event = $1' END
        || CASE WHEN p_request_id IS NULL THEN '' ELSE ' AND (a.request_id = $2 OR a.correlation_id = $2::text)' END
        || CASE WHEN p_correlation_id IS NULL THEN '' ELSE ' AND a.correlation_id = $3' END
        || CASE WHEN p_hold_id IS NULL THEN '' ELSE ' AND a.hold_id = $4' END
        || CASE WHEN p_workflow_id IS NULL THEN '' ELSE ' AND a.workflow_id = $5' END
        || CASE WHEN coalesce(p_run_id, p_replay_token) IS NULL THEN '' ELSE ' AND a.run_id = $6' END
        || CASE WHEN p_step_id IS NULL THEN '' ELSE ' AND a.step_id = $7' END
        || CASE WHEN p_run_group IS NULL THEN '' ELSE ' AND a.run_group = $8' END
        || CASE WHEN p_user_id IS NULL THEN '' ELSE ' AND a.user_id = $9' END
        || CASE WHEN p_api_key_id IS NULL THEN '' ELSE ' AND a.api_key_id = $10' END
        || CASE WHEN p_provider IS NULL THEN '' ELSE ' AND a.provider = $11' END
        || CASE WHEN p_model IS NULL THEN '' ELSE ' AND a.model = $12' END
        || CASE WHEN p_from IS NULL THEN '' ELSE
               ' AND a.created_at >= $13 AND a.audit_id >= holdfast.audit_id_floor($13)' END
        || CASE WHEN p_to IS NULL THEN '' ELSE
               ' AND a.created_at < $14 AND a.audit_id < holdfast.audit_id_floor($14 + interval ''1 ms'')' END
        || CASE WHEN p_after IS NULL THEN '' ELSE ' AND a.audit_id < $15' END
        || ' ORDER BY a.audit_id DESC LIMIT $17'
    USING p_event, p_request_id, p_correlation_id, p_hold_id, p_workflow_id, run, p_step_id, p_run_group, p_user_id,
          p_api_key_id, p_provider, p_model, p_from, p_to, p_after, p_organization_id, p_limit;
END $$;
COMMENT ON FUNCTION get_audit_log(uuid, text, uuid, text, uuid, uuid, uuid, text, uuid, uuid, text, uuid, text, text, timestamptz, timestamptz, uuid, integer) IS
'A page of an organization''s audit log, newest first, of the rows that have all that is given: by p_request_id, p_correlation_id, p_hold_id, p_run_id, p_replay_token, p_run_group, a time (from p_from, before p_to) it is found by an index; by the others the organization''s rows are read from the newest on, so give a time as well. p_after is the last audit_id of the page before; p_limit at most 1000. Raises PT400, PT403.';
