-- Runs compared: variants of steps with what became of them, and runs that are run once more.

CREATE FUNCTION record_run_outcome(p_run_id uuid, p_organization_id uuid, p_outcome text, p_score numeric DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    earlier holdfast.workflow_run_outcomes;
BEGIN
    IF p_run_id IS NULL OR p_organization_id IS NULL OR coalesce(p_outcome, '') = '' OR octet_length(p_outcome) > 255
       OR p_score IN ('NaN', 'Infinity', '-Infinity') THEN
        RAISE EXCEPTION 'An outcome needs a run, its organization, and 1 to 255 bytes of text; a score is a number.'
            USING ERRCODE = 'PT400', HINT = 'Give p_run_id, p_organization_id and p_outcome.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    IF NOT EXISTS (SELECT FROM holdfast.workflow_runs r WHERE r.organization_id = p_organization_id AND r.run_id = p_run_id) THEN
        RAISE EXCEPTION 'The organization has no run %.', p_run_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('runId', p_run_id);
    END IF;
    INSERT INTO holdfast.workflow_run_outcomes (organization_id, run_id, outcome, score)
    VALUES (p_organization_id, p_run_id, p_outcome, p_score) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN true;
    END IF;
    SELECT * INTO earlier FROM holdfast.workflow_run_outcomes o
    WHERE o.organization_id = p_organization_id AND o.run_id = p_run_id;
    IF (earlier.outcome, earlier.score) IS DISTINCT FROM (p_outcome, p_score) THEN
        RAISE EXCEPTION 'Run % has another outcome already.', p_run_id
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('runId', p_run_id, 'outcome', earlier.outcome, 'score', earlier.score);
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION record_run_outcome(uuid, uuid, text, numeric) IS
'Keeps what became of a run''s result (accepted, bounced, a rating …), once: the same once more changes nothing. True. Raises PT400, PT403, PT404, PT409 for another outcome than the one that is kept.';

CREATE FUNCTION get_variant_results(p_organization_id uuid, p_workflow_id uuid, p_step_id text DEFAULT NULL,
                                    OUT step_id text, OUT variant text, OUT runs bigint, OUT completed bigint, OUT failed bigint,
                                    OUT cost_usd numeric, OUT mean_cost_usd numeric, OUT mean_latency_ms numeric,
                                    OUT outcomes jsonb, OUT scored bigint, OUT mean_score numeric)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF NOT EXISTS (SELECT FROM holdfast.ai_workflows w WHERE w.organization_id = p_organization_id AND w.workflow_id = p_workflow_id) THEN
        RAISE EXCEPTION 'The organization has no workflow definition %.', p_workflow_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('workflow', p_workflow_id);
    END IF;
    RETURN QUERY
    WITH done AS (
        SELECT s.step_id, s.variant, s.status, s.cost, s.latency_ms, o.outcome, o.score
        FROM holdfast.workflow_runs r
        JOIN holdfast.workflow_run_steps s ON s.organization_id = r.organization_id AND s.run_id = r.run_id
        LEFT JOIN holdfast.workflow_run_outcomes o ON o.organization_id = r.organization_id AND o.run_id = r.run_id
        WHERE r.organization_id = p_organization_id AND r.workflow_id = p_workflow_id AND r.replay_of IS NULL
          AND s.variant IS NOT NULL AND (p_step_id IS NULL OR s.step_id = p_step_id)
    ), counted AS (
        SELECT d.step_id, d.variant, d.outcome, count(*) AS times FROM done d
        WHERE d.outcome IS NOT NULL GROUP BY 1, 2, 3
    )
    SELECT d.step_id, d.variant, count(*), count(*) FILTER (WHERE d.status = 'completed'),
           count(*) FILTER (WHERE d.status = 'failed'), trim_scale(sum(d.cost)),
           trim_scale(round(avg(d.cost) FILTER (WHERE d.status IN ('completed', 'failed')), 18)), round(avg(d.latency_ms), 1),
           coalesce((SELECT jsonb_object_agg(c.outcome, c.times) FROM counted c
                     WHERE c.step_id = d.step_id AND c.variant = d.variant), '{}'),
           count(d.score), trim_scale(round(avg(d.score), 6))
    FROM done d GROUP BY 1, 2 ORDER BY 1, 2;
END $$;
COMMENT ON FUNCTION get_variant_results(uuid, uuid, text) IS
'How the variants of a workflow''s steps compare: runs that drew each, how the step ended, its cost in USD and its time in ms, and the outcomes and scores that were recorded for those runs. Replays do not count. Raises PT403, PT404.';

CREATE FUNCTION replay_stored(p_organization_id uuid, p_run_id uuid) RETURNS uuid
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'holdfast_replay_stored';
COMMENT ON FUNCTION replay_stored(uuid, uuid) IS
'Runs a run that has ended once more from the answers that its steps got, and returns the new run. For replay_run().';

CREATE FUNCTION replay_run(p_replay_token uuid, p_organization_id uuid, p_mode text DEFAULT 'stored',
                           p_api_key_id uuid DEFAULT NULL, p_idempotency_key text DEFAULT NULL, p_ip inet DEFAULT NULL,
                           p_route text DEFAULT NULL,
                           OUT run_id uuid, OUT status text, OUT granted boolean, OUT duplicate boolean, OUT scope text,
                           OUT limit_usd numeric, OUT spent numeric, OUT held numeric, OUT rate_layer text,
                           OUT rate_limit bigint, OUT rate_remaining bigint, OUT rate_reset_ms integer,
                           OUT retry_after_ms integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first holdfast.workflow_runs;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_mode IS NULL OR p_mode NOT IN ('stored', 'providers') THEN
        RAISE EXCEPTION 'There is no mode "%" of a replay.', p_mode
            USING ERRCODE = 'PT400', HINT = 'Modes are stored and providers.', DETAIL = jsonb_build_object('field', 'p_mode');
    END IF;
    SELECT * INTO first FROM holdfast.workflow_runs r
    WHERE r.organization_id = p_organization_id AND r.replay_token = p_replay_token;
    IF first.run_id IS NULL THEN
        RAISE EXCEPTION 'The organization has no run with this replay token.'
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('replayToken', p_replay_token);
    END IF;
    IF p_mode = 'stored' THEN
        granted := true;
        duplicate := false;
        run_id := holdfast.replay_stored(p_organization_id, first.run_id);
        SELECT r.status INTO status FROM holdfast.workflow_runs r
        WHERE r.organization_id = p_organization_id AND r.run_id = replay_run.run_id;
        RETURN;
    END IF;
    SELECT r.run_id, r.status, r.granted, r.duplicate, r.scope, r.limit_usd, r.spent, r.held, r.rate_layer, r.rate_limit,
           r.rate_remaining, r.rate_reset_ms, r.retry_after_ms
    INTO run_id, status, granted, duplicate, scope, limit_usd, spent, held, rate_layer, rate_limit, rate_remaining,
         rate_reset_ms, retry_after_ms
    FROM holdfast.start_run(p_organization_id, p_definition => first.definition, p_input => first.input,
                            p_user_id => first.user_id, p_idempotency_key => p_idempotency_key,
                            p_api_key_id => coalesce(p_api_key_id, first.api_key_id),
                            p_intent_workflow_id => first.intent_workflow_id, p_community_id => first.community_id,
                            p_tool => first.tool, p_split_key => first.split_key, p_ip => p_ip, p_route => p_route) r;
    UPDATE holdfast.workflow_runs r SET replay_of = first.run_id, workflow_id = first.workflow_id
    WHERE NOT duplicate AND r.organization_id = p_organization_id AND r.run_id = replay_run.run_id;
END $$;
COMMENT ON FUNCTION replay_run(uuid, uuid, text, uuid, text, inet, text) IS
'Runs the run with this token (replay_token of ai_workflow_runs) once more, with its definition, its input and its variants. stored: from the answers that its steps got and the approvals that were given, at once and at no cost; a step that was not done then fails. providers: anew, as start_run() begins it under p_idempotency_key, for the key p_api_key_id (NULL: that of the first run); not granted, limited, duplicate and the other columns are as there. Raises PT400, PT403, PT404, PT409 for a run that has not ended (stored), PT422 for one that its definition does not let run anew: what was delivered is delivered once (providers).';
