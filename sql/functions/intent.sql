-- The steps of workflows on the graph `intent`, each a run: begun, retried, reviewed and cancelled.

CREATE FUNCTION start_step_run(p_organization_id uuid, p_workflow_id uuid, p_name text, p_definition jsonb, p_input jsonb,
                               p_user_id text, p_idempotency_key text, p_api_key_id uuid, p_intent_workflow_id uuid,
                               p_community_id uuid, p_tool text, p_split_key text, p_run_id uuid,
                               OUT run_id uuid, OUT status text, OUT granted boolean, OUT duplicate boolean, OUT scope text,
                               OUT limit_usd numeric, OUT spent numeric, OUT held numeric)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_start_step_run';
COMMENT ON FUNCTION start_step_run(uuid, uuid, text, jsonb, jsonb, text, text, uuid, uuid, uuid, text, text, uuid) IS
'start_run() of a run that workflow_step_runs has under p_run_id: when it ends, its workflow moves in the same transaction.';

CREATE FUNCTION create_intent_workflow(p_organization_id uuid, p_input jsonb, p_cost_limit numeric DEFAULT NULL,
                                       p_idempotency_key text DEFAULT NULL, OUT workflow_id uuid, OUT duplicate boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    member record;
    same boolean;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF jsonb_typeof(p_input) IS DISTINCT FROM 'object' OR coalesce(btrim(p_input ->> 'business'), '') = '' THEN
        RAISE EXCEPTION 'A workflow needs to know what the business is.' USING ERRCODE = 'PT400',
            DETAIL = jsonb_build_object('field', 'input.business'),
            HINT = 'Give input as {"business": "what it sells, to whom", "website", "audience", "market", "language"}.';
    END IF;
    FOR member IN SELECT m.key, m.value FROM jsonb_each(p_input) m LOOP
        IF member.key <> ALL ('{business,website,audience,market,language}'::text[]) OR jsonb_typeof(member.value) <> 'string'
           OR length(member.value #>> '{}') > 10000 THEN
            RAISE EXCEPTION 'The input has "%", which is no text of at most 10000 characters that is known here.', left(member.key, 64)
                USING ERRCODE = 'PT400', DETAIL = jsonb_build_object('field', 'input.' || left(member.key, 64)),
                      HINT = 'Known are business, website, audience, market and language.';
        END IF;
    END LOOP;
    -- Under a key the id is the key's for ever, so that a repeat finds what the first has made.
    workflow_id := coalesce(left(encode(sha256(convert_to(p_organization_id || ' intent ' || p_idempotency_key, 'UTF8')), 'hex'), 32)::uuid,
                            gen_random_uuid());
    duplicate := false;
    BEGIN
        INSERT INTO holdfast.intent_workflows (id, organization_id, workflow_data, graph, cost_limit)
        VALUES (workflow_id, p_organization_id, jsonb_build_object('input', p_input), 'intent', p_cost_limit);
    EXCEPTION WHEN unique_violation THEN
        duplicate := true;
        SELECT w.workflow_data -> 'input' = p_input AND (p_cost_limit IS NULL OR c.limit_usd = p_cost_limit) INTO same
        FROM holdfast.workflows w JOIN holdfast.budget_counters c ON c.budget_id = w.id AND c.organization_id = w.organization_id
        WHERE w.id = workflow_id AND w.organization_id = p_organization_id;
        IF NOT coalesce(same, false) THEN
            RAISE EXCEPTION 'The idempotency key was used before with another workflow.' USING ERRCODE = 'PT409',
                DETAIL = jsonb_build_object('idempotencyKey', p_idempotency_key, 'workflowId', workflow_id),
                HINT = 'Repeat the request unchanged, or use a new key.';
        END IF;
    END;
END $$;
COMMENT ON FUNCTION create_intent_workflow(uuid, jsonb, numeric, text) IS
'Makes a workflow on the graph intent. p_input: business (needed: what it sells, to whom), website, audience, market, language, all texts; kept in workflow_data under input. p_cost_limit is the most it may spend, in USD (NULL: 1.00). A repeat of p_idempotency_key finds the same workflow. Raises PT400, PT403, PT409 (key used with another).';

CREATE FUNCTION lock_intent_workflow(p_workflow_id uuid, p_organization_id uuid) RETURNS holdfast.workflows
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_workflow holdfast.workflows;
BEGIN
    IF p_workflow_id IS NULL OR p_organization_id IS NULL THEN
        RAISE EXCEPTION 'A step needs a workflow and its organization.' USING ERRCODE = 'PT400';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT w.* INTO found_workflow FROM holdfast.workflows w
    WHERE w.id = p_workflow_id AND w.organization_id = p_organization_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization has no workflow %.', p_workflow_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('workflowId', p_workflow_id);
    ELSIF found_workflow.graph <> 'intent' THEN
        RAISE EXCEPTION 'The workflow moves on graph "%", which has other steps.', found_workflow.graph
            USING ERRCODE = 'PT422', DETAIL = jsonb_build_object('graph', found_workflow.graph);
    END IF;
    RETURN found_workflow;
END $$;
COMMENT ON FUNCTION lock_intent_workflow(uuid, uuid) IS
'A workflow of the graph intent, kept as it is until the transaction ends. Raises PT400, PT403, PT404, PT422 (graph).';

CREATE FUNCTION refuse_intent_step(p_current text, p_expected text, p_attempted text, p_reason text, p_hint text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%', p_reason USING ERRCODE = 'PT409', HINT = p_hint,
        DETAIL = jsonb_build_object('currentState', p_current, 'expectedState', p_expected, 'attemptedState', p_attempted);
END $$;
COMMENT ON FUNCTION refuse_intent_step(text, text, text, text, text) IS 'Raises PT409 with the three states.';

CREATE FUNCTION intent_step_definition(p_definition jsonb, p_request jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made jsonb := p_definition;
    step jsonb;
    i integer := 0;
BEGIN
    FOR step IN SELECT s.value FROM jsonb_array_elements(p_definition -> 'steps') s LOOP
        IF NOT step ? 'action' THEN
            IF p_request ? 'provider' OR p_request ? 'model' THEN
                step := (step - 'provider' - 'model') || jsonb_strip_nulls(jsonb_build_object(
                    'provider', p_request -> 'provider', 'model', p_request -> 'model'));
            END IF;
            IF p_request -> 'disableFallback' = 'true' THEN
                step := step - 'fallback';
            END IF;
            step := jsonb_set(step, '{input}', (step -> 'input') || jsonb_strip_nulls(jsonb_build_object(
                'maxTokens', p_request -> 'maxTokens', 'temperature', p_request -> 'temperature')));
            made := jsonb_set(made, ARRAY['steps', i::text], step);
        END IF;
        i := i + 1;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION intent_step_definition(jsonb, jsonb) IS
'The definition of a step with what a request has instead: provider, model, maxTokens, temperature, disableFallback.';

CREATE FUNCTION intent_step_input(p_workflow holdfast.workflows, p_request jsonb) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT '{"website": "not given", "audience": "not given", "market": "not given", "language": "English"}'::jsonb
        || coalesce((SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(p_workflow.workflow_data -> 'input') m
                     WHERE m.value <> '""'), '{}')
        || jsonb_build_object(
            'workflowId', p_workflow.id,
            'instructions', coalesce(p_request ->> 'instructions', 'none'),
            'cluster', coalesce(p_request ->> 'cluster', p_workflow.workflow_data #>> '{validate,chosen}', ''),
            'icp', coalesce(p_workflow.workflow_data -> 'icp-generate', '{}'),
            'competitors', coalesce(p_workflow.workflow_data -> 'competitor-analyze', '{}'),
            'keywords', coalesce(p_workflow.workflow_data #> '{review,keywords}', '[]'),
            'clusters', coalesce(p_workflow.workflow_data #> '{cluster,clusters}', '[]'),
            'validation', coalesce(p_workflow.workflow_data -> 'validate', '{}'),
            'article', coalesce(p_workflow.workflow_data -> 'article', '{}'))
$$;
COMMENT ON FUNCTION intent_step_input(holdfast.workflows, jsonb) IS
'What the definitions of the steps read: the workflow''s input and the results of the steps before.';

CREATE FUNCTION check_intent_request(p_request jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kinds CONSTANT jsonb := '{"provider": "string", "model": "string", "maxTokens": "number", "temperature": "number",
                              "disableFallback": "boolean", "instructions": "string", "cluster": "string"}';
    member record;
BEGIN
    IF jsonb_typeof(p_request) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'What a step is asked for with is no JSON object.' USING ERRCODE = 'PT400';
    END IF;
    FOR member IN SELECT m.key, m.value FROM jsonb_each(p_request) m LOOP
        IF kinds ->> member.key IS DISTINCT FROM jsonb_typeof(member.value) OR length(member.value #>> '{}') > 4000 THEN
            RAISE EXCEPTION 'A step is not asked for with "%" like this.', left(member.key, 64) USING ERRCODE = 'PT400',
                DETAIL = jsonb_build_object('field', left(member.key, 64)),
                HINT = 'Known are provider, model, maxTokens, temperature, disableFallback, instructions and cluster; texts have at most 4000 characters.';
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION check_intent_request(jsonb) IS 'Raises PT400 for a member that is not known or of another type.';

CREATE FUNCTION find_intent_step(p_step text, p_state text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_step record;
BEGIN
    SELECT s.* INTO found_step FROM holdfast.intent_steps() s
    WHERE s.step = p_step
       OR p_step IS NULL AND (s.from_state = p_state OR split_part(s.end_states[1], '_', 1) = split_part(p_state, '_', 1))
    ORDER BY s.from_state = p_state LIMIT 1;
    IF NOT FOUND AND p_step IS NULL THEN
        SELECT s.* INTO found_step FROM holdfast.intent_steps() s WHERE s.place = 7;
    ELSIF NOT FOUND THEN
        RAISE EXCEPTION 'There is no step "%".', left(p_step, 64) USING ERRCODE = 'PT404',
            DETAIL = jsonb_build_object('step', left(p_step, 64)),
            HINT = 'Steps are icp-generate, competitor-analyze, seed-extract, cluster, validate, article and publish.';
    END IF;
    RETURN found_step;
END $$;
COMMENT ON FUNCTION find_intent_step(text, text) IS
'The row of intent_steps() of this name, or (NULL) of the stage that a state belongs to. Raises PT404.';

CREATE FUNCTION start_intent_step(p_workflow_id uuid, p_organization_id uuid, p_step text, p_request jsonb DEFAULT NULL,
                                  p_retry boolean DEFAULT false, p_user_id text DEFAULT NULL, p_idempotency_key text DEFAULT NULL,
                                  p_api_key_id uuid DEFAULT NULL, p_correlation_id text DEFAULT NULL,
                                  OUT run_id uuid, OUT step text, OUT granted boolean, OUT duplicate boolean, OUT scope text,
                                  OUT limit_usd numeric, OUT spent numeric, OUT held numeric)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept holdfast.workflows := holdfast.lock_intent_workflow(p_workflow_id, p_organization_id);
    earlier record;
    rule record;
    failed_state text;
    expected text;
    attempted text;
    target text;
    now_fence bigint := kept.fence;
    now_state text := kept.state;
    asked jsonb := p_request;
    definition jsonb;
    timeout_ms bigint;
BEGIN
    PERFORM holdfast.check_intent_request(coalesce(p_request, '{}'));
    IF p_idempotency_key IS NOT NULL THEN
        SELECT b.run_id, b.step, b.workflow_id = p_workflow_id AND (b.step = p_step OR p_retry)
               AND (p_request IS NULL AND p_retry OR b.request = coalesce(p_request, '{}')) AS same INTO earlier
        FROM holdfast.workflow_runs r JOIN holdfast.workflow_step_runs b ON b.organization_id = r.organization_id AND b.run_id = r.run_id
        WHERE r.organization_id = p_organization_id AND r.idempotency_key = p_idempotency_key;
        IF FOUND AND earlier.same THEN
            run_id := earlier.run_id;
            step := earlier.step;
            granted := true;
            duplicate := true;
            RETURN;
        ELSIF FOUND THEN
            RAISE EXCEPTION 'The idempotency key was used before with another step.' USING ERRCODE = 'PT409',
                DETAIL = jsonb_build_object('idempotencyKey', p_idempotency_key, 'runId', earlier.run_id, 'step', earlier.step),
                HINT = 'Repeat the request unchanged, or use a new key.';
        END IF;
    END IF;
    step := p_step;
    IF p_retry AND step IS NULL THEN -- one that has no failed state is where it began
        SELECT f.step INTO step
        FROM (SELECT b.step, b.outcome FROM holdfast.workflow_step_runs b
              WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id
              ORDER BY b.started_at DESC LIMIT 1) f JOIN holdfast.intent_steps() s ON s.step = f.step
        WHERE f.outcome = 'failed' AND s.from_state = kept.state;
    END IF;
    SELECT * INTO rule FROM holdfast.find_intent_step(step, kept.state)
        AS r(step text, place integer, from_state text, work_states text[], end_states text[], definition jsonb);
    step := rule.step;
    failed_state := regexp_replace(rule.work_states[2], '_PROCESSING$', '_FAILED');
    expected := CASE WHEN p_retry THEN coalesce(failed_state, rule.from_state) ELSE rule.from_state END;
    attempted := coalesce(rule.work_states[1], rule.end_states[1]);
    SELECT b.run_id, b.step INTO earlier FROM holdfast.workflow_step_runs b
    WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id AND b.ended_at IS NULL;
    IF FOUND THEN
        PERFORM holdfast.refuse_intent_step(kept.state, expected, attempted,
            format('Step %s of the workflow is being done.', earlier.step),
            'Wait for its end, or cancel the workflow.');
    ELSIF kept.state <> expected AND (p_retry OR kept.state IS DISTINCT FROM rule.work_states[1]) THEN
        PERFORM holdfast.refuse_intent_step(kept.state, expected, attempted,
            format('Step %s is %s in state %s; the workflow is in state %s.', rule.step,
                   CASE WHEN p_retry THEN 'tried again' ELSE 'begun' END, expected, kept.state),
            CASE WHEN kept.state = failed_state THEN 'It has failed: POST .../retry tries it again.'
                 ELSE 'holdfast.workflow_overview() shows which steps are open.' END);
    END IF;
    IF p_retry AND p_request IS NULL THEN
        SELECT b.request INTO asked FROM holdfast.workflow_step_runs b
        WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id AND b.step = rule.step
        ORDER BY b.started_at DESC LIMIT 1;
    END IF;
    asked := coalesce(asked, '{}');
    definition := holdfast.intent_step_definition(rule.definition, asked);
    timeout_ms := (definition #>> '{settings,timeout}')::bigint;
    FOREACH target IN ARRAY rule.work_states LOOP
        CONTINUE WHEN target = now_state;
        SELECT a.state, a.fence INTO now_state, now_fence
        FROM holdfast.advance_workflow(p_workflow_id, p_organization_id, now_state, target, p_actor => coalesce(p_user_id, 'intent'),
                 p_reason => CASE WHEN p_retry THEN 'retried' ELSE 'asked for' END, p_fence => now_fence,
                 p_correlation_id => p_correlation_id) a;
    END LOOP;
    IF rule.work_states <> '{}' THEN -- the run's own leases say who works; this one outlives it
        PERFORM holdfast.heartbeat(p_organization_id, jsonb_build_array(jsonb_build_object(
            'workflow_id', p_workflow_id, 'fence', now_fence)), timeout_ms * interval '1 millisecond' + interval '10 minutes');
    END IF;
    run_id := gen_random_uuid();
    INSERT INTO holdfast.workflow_step_runs (organization_id, run_id, workflow_id, step, request, path, fence, actor, correlation_id)
    VALUES (p_organization_id, run_id, p_workflow_id, rule.step, asked, now_state || rule.end_states, now_fence,
            coalesce(p_user_id, 'intent'), p_correlation_id);
    SELECT s.run_id, s.granted, s.duplicate, s.scope, s.limit_usd, s.spent, s.held
    INTO run_id, granted, duplicate, scope, limit_usd, spent, held
    FROM holdfast.start_step_run(p_organization_id, NULL, NULL, definition, holdfast.intent_step_input(kept, asked), p_user_id,
                                 p_idempotency_key, p_api_key_id, p_workflow_id, NULL, NULL, NULL, run_id) s;
END $$;
COMMENT ON FUNCTION start_intent_step(uuid, uuid, text, jsonb, boolean, text, text, uuid, text) IS
'Begins a step of a workflow on the graph intent: brings the workflow to the state in which it is worked on and begins the run that does it, in one transaction; when the run ends, the workflow moves on in that transaction, with the result in workflow_data under the step''s name, or fails with the error in its history. Of any number of contenders one gets it. p_request: provider, model, maxTokens, temperature, disableFallback, instructions, cluster (of article). p_retry: tries again the step (NULL: the one of the state) that has failed, as it was asked for before unless p_request is given. Not granted: scope says which budget refused, and the step has failed. A repeat of p_idempotency_key returns the same run. Raises PT400, PT403, PT404, PT409 with currentState, expectedState and attemptedState in DETAIL, PT422 (definition).';

CREATE FUNCTION review_intent_seeds(p_workflow_id uuid, p_organization_id uuid, p_keywords text[], p_user_id text DEFAULT NULL,
                                    p_note text DEFAULT NULL, p_correlation_id text DEFAULT NULL,
                                    OUT state text, OUT duplicate boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept holdfast.workflows := holdfast.lock_intent_workflow(p_workflow_id, p_organization_id);
    keywords text[];
BEGIN
    SELECT array_agg(k.keyword ORDER BY k.place) INTO keywords
    FROM (SELECT btrim(u.k) AS keyword, min(u.n) AS place FROM unnest(p_keywords) WITH ORDINALITY u(k, n) GROUP BY 1) k;
    IF coalesce(cardinality(keywords), 0) NOT BETWEEN 1 AND 200 OR length(p_note) > 4000
       OR EXISTS (SELECT FROM unnest(keywords) k WHERE length(k) NOT BETWEEN 1 AND 100 OR k IS NULL) THEN
        RAISE EXCEPTION 'A review keeps 1 to 200 keywords of 1 to 100 characters.' USING ERRCODE = 'PT400',
            DETAIL = jsonb_build_object('field', 'keywords'),
            HINT = 'Give those that are to be used, edited as they are meant; what was proposed is in workflow_data under seed-extract.';
    END IF;
    duplicate := kept.state = 'SEED_REVIEW_COMPLETED' AND kept.workflow_data #> '{review,keywords}' = to_jsonb(keywords);
    IF duplicate THEN
        state := kept.state;
        RETURN;
    END IF;
    SELECT a.state INTO state FROM holdfast.advance_workflow(p_workflow_id, p_organization_id, 'SEED_REVIEW_PENDING', 'SEED_REVIEW_COMPLETED',
        p_actor => p_user_id, p_reason => coalesce(p_note, 'reviewed'), p_correlation_id => p_correlation_id,
        p_data_patch => jsonb_build_object('review', jsonb_strip_nulls(jsonb_build_object('keywords', keywords,
            'note', p_note, 'reviewedBy', p_user_id, 'reviewedAt', clock_timestamp())))) a;
END $$;
COMMENT ON FUNCTION review_intent_seeds(uuid, uuid, text[], text, text, text) IS
'A person''s review of the seed keywords: those that are kept or were edited stand, each once, in workflow_data under review, and the workflow goes from SEED_REVIEW_PENDING to SEED_REVIEW_COMPLETED. The same review once more is a duplicate. Raises PT400, PT403, PT404, PT409 with the three states, PT422 (graph).';

CREATE FUNCTION cancel_workflow(p_workflow_id uuid, p_organization_id uuid, p_user_id text DEFAULT NULL, p_reason text DEFAULT NULL,
                                p_correlation_id text DEFAULT NULL, OUT state text, OUT duplicate boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    open_run uuid;
    kept holdfast.workflows;
    target text;
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    LOOP
        BEGIN
            -- A run is locked before its workflow, by everyone; whatever begins or ends between is met at the next turn.
            SELECT b.run_id INTO open_run FROM holdfast.workflow_step_runs b
            WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id AND b.ended_at IS NULL;
            PERFORM FROM holdfast.workflow_runs r WHERE r.organization_id = p_organization_id AND r.run_id = open_run FOR NO KEY UPDATE;
            SELECT w.* INTO kept FROM holdfast.workflows w
            WHERE w.id = p_workflow_id AND w.organization_id = p_organization_id FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'The organization has no workflow %.', p_workflow_id
                    USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('workflowId', p_workflow_id);
            END IF;
            IF open_run IS DISTINCT FROM (SELECT b.run_id FROM holdfast.workflow_step_runs b
                                          WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id
                                            AND b.ended_at IS NULL) THEN
                RAISE EXCEPTION USING ERRCODE = 'HF001';
            END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'HF001' THEN
            NULL; -- the locks are let go
        END;
    END LOOP;
    SELECT t.to_state INTO target FROM holdfast.workflow_transitions t
    WHERE t.graph = kept.graph AND t.from_state = kept.state AND t.kind = 'cancel';
    duplicate := target IS NULL AND EXISTS (SELECT FROM holdfast.workflow_transitions t
                                            WHERE t.graph = kept.graph AND t.to_state = kept.state AND t.kind = 'cancel');
    state := kept.state;
    IF duplicate THEN
        RETURN;
    ELSIF target IS NULL THEN
        RAISE EXCEPTION 'A workflow in state % is not cancelled any more.', kept.state USING ERRCODE = 'PT409',
            DETAIL = jsonb_build_object('currentState', kept.state, 'expectedState', NULL, 'attemptedState',
                (SELECT min(t.to_state) FROM holdfast.workflow_transitions t WHERE t.graph = kept.graph AND t.kind = 'cancel'));
    END IF;
    UPDATE holdfast.workflow_step_runs b SET ended_at = clock_timestamp(), outcome = 'cancelled'
    WHERE b.organization_id = p_organization_id AND b.run_id = open_run;
    SELECT a.state INTO state FROM holdfast.advance_workflow(p_workflow_id, p_organization_id, kept.state, target,
        p_actor => p_user_id, p_reason => coalesce(p_reason, 'cancelled'), p_correlation_id => p_correlation_id) a;
    IF open_run IS NOT NULL THEN
        PERFORM holdfast.cancel_run(open_run, p_organization_id, coalesce(p_reason, 'The workflow was cancelled.'));
    END IF;
END $$;
COMMENT ON FUNCTION cancel_workflow(uuid, uuid, text, text, text) IS
'Cancels a workflow in any state that is not terminal, and the run of the step that is being done: what was held is free, what a call under way costs is still recorded. One that was cancelled before is a duplicate. Raises PT403, PT404, PT409 with the states for one that has ended.';

CREATE FUNCTION get_intent_workflow(p_workflow_id uuid, p_organization_id uuid,
                                    OUT workflow_id uuid, OUT state text, OUT step integer, OUT status text,
                                    OUT open_steps integer[], OUT next_states text[], OUT total_ai_cost numeric,
                                    OUT held_cost numeric, OUT cost_limit numeric, OUT history jsonb, OUT workflow_data jsonb,
                                    OUT running jsonb, OUT failure jsonb, OUT created_at timestamptz, OUT updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT o.workflow_id, o.state, o.step, o.status, o.open_steps, o.next_states, o.total_ai_cost, o.held_cost, o.cost_limit,
           o.history, o.created_at, o.updated_at
    INTO workflow_id, state, step, status, open_steps, next_states, total_ai_cost, held_cost, cost_limit, history, created_at, updated_at
    FROM holdfast.workflow_overview(p_workflow_id, p_organization_id) o;
    SELECT w.workflow_data || jsonb_build_object('total_ai_cost', total_ai_cost) INTO workflow_data
    FROM holdfast.workflows w WHERE w.id = p_workflow_id AND w.organization_id = p_organization_id;
    SELECT jsonb_build_object('step', b.step, 'runId', b.run_id, 'since', b.started_at) INTO running
    FROM holdfast.workflow_step_runs b
    WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id AND b.ended_at IS NULL;
    SELECT CASE WHEN b.outcome = 'failed' THEN jsonb_build_object('step', b.step, 'runId', b.run_id) || coalesce(r.error, '{}') END
    INTO failure
    FROM holdfast.workflow_step_runs b JOIN holdfast.workflow_runs r ON r.organization_id = b.organization_id AND r.run_id = b.run_id
    WHERE b.organization_id = p_organization_id AND b.workflow_id = p_workflow_id
    ORDER BY b.started_at DESC, b.ended_at IS NOT NULL LIMIT 1;
END $$;
COMMENT ON FUNCTION get_intent_workflow(uuid, uuid) IS
'A workflow with its document, for a page: what workflow_overview() shows, workflow_data with the results under the steps'' names, the step that is being done (running: step, runId, since) and why the last one failed (failure: step, runId, code, message). Raises PT400, PT403, PT404.';
