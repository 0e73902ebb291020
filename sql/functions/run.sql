-- Runs of definitions: begun, worked on by any number of workers, ended once.

CREATE FUNCTION start_run(p_organization_id uuid, p_workflow_id uuid DEFAULT NULL, p_name text DEFAULT NULL,
                          p_definition jsonb DEFAULT NULL, p_input jsonb DEFAULT '{}', p_user_id text DEFAULT NULL,
                          p_idempotency_key text DEFAULT NULL, p_api_key_id uuid DEFAULT NULL,
                          p_intent_workflow_id uuid DEFAULT NULL, p_community_id uuid DEFAULT NULL,
                          p_tool text DEFAULT NULL, p_split_key text DEFAULT NULL, p_ip inet DEFAULT NULL,
                          p_route text DEFAULT NULL,
                          OUT run_id uuid, OUT status text, OUT granted boolean, OUT duplicate boolean, OUT scope text,
                          OUT limit_usd numeric, OUT spent numeric, OUT held numeric, OUT rate_layer text,
                          OUT rate_limit bigint, OUT rate_remaining bigint, OUT rate_reset_ms integer,
                          OUT retry_after_ms integer)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_start_run';
COMMENT ON FUNCTION start_run(uuid, uuid, text, jsonb, jsonb, text, text, uuid, uuid, uuid, text, text, inet, text) IS
'Begins a run of a saved definition (p_workflow_id, or the newest of p_name) or of one that is given (p_definition), and holds the most that it may cost (USD). Its steps draw on that hold; what is left returns at its end. Not granted: scope and figures say which budget refused, the run is on record as failed, and PostgREST answers 402. Where the library is preloaded a start counts on the rate limits of check_rate_limit(), workflow included, of which rate_layer is the tightest; status limited: that one refused, there is no run, and PostgREST answers 429. Steps that need no provider are done at once, others wait for claim_step(). A repeat of p_idempotency_key returns the same run. p_split_key decides the variants of steps (NULL: the user, else the run). Raises PT400 for a missing input, PT403, PT404, PT409 (key used with another run), PT422 (definition).';

CREATE FUNCTION claim_step(p_worker text, p_providers text[], p_models text[] DEFAULT NULL, p_most integer DEFAULT 1,
                           p_lease interval DEFAULT '30 seconds', p_organization_id uuid DEFAULT NULL,
                           OUT organization_id uuid, OUT run_id uuid, OUT step_id text, OUT fence bigint,
                           OUT provider text, OUT model text, OUT prompt text, OUT system_prompt text,
                           OUT max_tokens integer, OUT temperature numeric, OUT hold_id uuid, OUT most_usd numeric,
                           OUT lease_until timestamptz, OUT user_id text, OUT fallback_used boolean,
                           OUT routing jsonb, OUT action text, OUT schema jsonb)
    RETURNS SETOF record
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_claim_step';
COMMENT ON FUNCTION claim_step(text, text[], text[], integer, interval, uuid) IS
'Takes up to p_most (1 to 64) steps that are ready and that one of p_providers serves; p_models are the standard models of these, for steps that name none. Each is the worker''s until lease_until, which heartbeat_steps() moves on. fence is to be given back with its result; hold_id holds most_usd, the most that the call can cost, taken from the run''s hold. action is generate, or deliver (of a worker that names webhook among p_providers): then prompt is a JSON document to be handed over, and nothing is held. schema is what the answer has to fit (NULL: anything); the prompt says so too. Its provider is chosen as open_call() chooses, among those of the step, its fallbacks and p_providers: prices, pauses, circuit breakers, and what the API key that began the run may call; routing says why. It counts on the rate limits of the provider and of all. While none can serve it the step waits (step.delayed). A step that cannot be called (unpriced model, too long a prompt, no budget) fails instead. No row: nothing to do; NOTIFY holdfast_steps tells of more. Raises PT400, PT403.';

CREATE FUNCTION complete_step(p_organization_id uuid, p_run_id uuid, p_step_id text, p_fence bigint, p_output text,
                              p_prompt_tokens integer, p_completion_tokens integer, p_cached_tokens integer DEFAULT 0,
                              p_cache_write_tokens integer DEFAULT 0, p_reasoning_tokens integer DEFAULT 0,
                              p_estimated boolean DEFAULT false, p_reported_cost numeric DEFAULT NULL,
                              p_latency_ms bigint DEFAULT NULL, p_metadata jsonb DEFAULT '{}',
                              OUT accepted boolean, OUT duplicate boolean, OUT ledger_id uuid, OUT cost numeric,
                              OUT total_cost numeric, OUT step_status text, OUT run_status text)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_complete_step';
COMMENT ON FUNCTION complete_step(uuid, uuid, text, bigint, text, integer, integer, integer, integer, integer, boolean, numeric, bigint, jsonb) IS
'Settles an attempt, keeps its answer and moves the run on: one transaction. p_latency_ms also tells the provider''s circuit breaker; p_metadata is added to that of the ledger entry. A repeat is a duplicate and charges nothing. NULL p_prompt_tokens: nothing was charged, its hold goes back. Of an answer to a step with a schema the JSON is kept alone; one that does not fit is charged, and asked for once more with the fault named in the prompt; the next one fails the step (schema_mismatch). Not accepted: the step was no longer this attempt''s (its lease ran out, the run was cancelled or ended), so only its cost was recorded, since what was spent is never refused. Raises PT400, PT403, PT404 (run, step or attempt), PT409 (a repeat with other figures).';

CREATE FUNCTION fail_step(p_organization_id uuid, p_run_id uuid, p_step_id text, p_fence bigint, p_code text,
                          p_message text, p_transient boolean DEFAULT false, p_retry_after_ms integer DEFAULT NULL,
                          p_maybe_charged boolean DEFAULT false, p_prompt_tokens integer DEFAULT NULL,
                          p_completion_tokens integer DEFAULT 0, p_cached_tokens integer DEFAULT 0,
                          p_cache_write_tokens integer DEFAULT 0, p_reasoning_tokens integer DEFAULT 0,
                          p_estimated boolean DEFAULT false, p_reported_cost numeric DEFAULT NULL,
                          p_provider_ok boolean DEFAULT NULL, p_latency_ms bigint DEFAULT NULL,
                          p_elsewhere boolean DEFAULT NULL,
                          OUT accepted boolean, OUT duplicate boolean, OUT ledger_id uuid, OUT cost numeric,
                          OUT total_cost numeric, OUT step_status text, OUT run_status text)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_fail_step';
COMMENT ON FUNCTION fail_step(uuid, uuid, text, bigint, text, text, boolean, integer, boolean, integer, integer, integer, integer, integer, boolean, numeric, boolean, bigint, boolean) IS
'Ends an attempt without an answer. A transient failure is tried again up to the step''s retry.maxAttempts, after its delay doubled for each failure, or p_retry_after_ms where that is more; then, or where p_elsewhere says that only another provider may do it (NULL: as p_transient), the step is handed on to the next of its providers (step.handed_on), which is tried as often; else onFailure follows, or the run fails. With p_prompt_tokens the attempt is charged; with p_maybe_charged its hold shows in unresolved_calls; else its hold goes back to the run''s. p_provider_ok and p_latency_ms tell the provider''s circuit breaker how it went. accepted as of complete_step(). Raises PT400, PT403, PT404, PT409.';

CREATE FUNCTION heartbeat_steps(p_worker text, p_organization_ids uuid[], p_run_ids uuid[], p_step_ids text[],
                                p_fences bigint[], p_lease interval DEFAULT '30 seconds',
                                OUT run_id uuid, OUT step_id text, OUT fence bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(o) FROM unnest(p_organization_ids) o;
    IF p_lease IS NULL OR p_lease <= interval '0' OR p_lease > interval '24 hours' THEN
        RAISE EXCEPTION 'p_lease is not above 0 and at most 24 hours.' USING ERRCODE = 'PT400';
    END IF;
    -- A row that is locked is being finished by its own worker.
    UPDATE holdfast.workflow_run_steps s SET lease_until = clock_timestamp() + p_lease
    FROM (SELECT s.organization_id, s.run_id, s.step_no
          FROM holdfast.workflow_run_steps s
          JOIN unnest(p_organization_ids, p_run_ids, p_step_ids, p_fences) AS m(organization_id, run_id, step_id, fence)
            USING (organization_id, run_id, step_id, fence)
          WHERE s.status = 'running' AND s.worker = p_worker
          FOR NO KEY UPDATE OF s SKIP LOCKED) own
    WHERE s.organization_id = own.organization_id AND s.run_id = own.run_id AND s.step_no = own.step_no;
    RETURN QUERY
    SELECT m.run_id, m.step_id, m.fence
    FROM unnest(p_organization_ids, p_run_ids, p_step_ids, p_fences) AS m(organization_id, run_id, step_id, fence)
    WHERE NOT EXISTS (
        SELECT FROM holdfast.workflow_run_steps s JOIN holdfast.workflow_runs r USING (organization_id, run_id)
        WHERE s.organization_id = m.organization_id AND s.run_id = m.run_id AND s.step_id = m.step_id
          AND s.fence = m.fence AND s.status = 'running' AND s.worker = p_worker AND r.ended_at IS NULL);
END $$;
COMMENT ON FUNCTION heartbeat_steps(text, uuid[], uuid[], text[], bigint[], interval) IS
'Lets the leases of a worker''s steps run out p_lease from now, all in one call. Returns those that are no longer its own, since their lease ran out or their run has ended: their calls are to be stopped, and what they cost is still to be reported. Raises PT400, PT403.';

CREATE FUNCTION cancel_run(p_run_id uuid, p_organization_id uuid, p_reason text DEFAULT NULL,
                           OUT status text, OUT total_cost numeric)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_cancel_run';
COMMENT ON FUNCTION cancel_run(uuid, uuid, text) IS
'Ends a run at once: nothing of it begins any more, what was held for it is free but for calls that are under way, which are told by their heartbeat and whose cost is recorded. total_cost is what it has cost so far, in USD. A run that was cancelled before stays so. Raises PT403, PT404, PT409 for one that has ended otherwise.';

CREATE FUNCTION approve_step(p_run_id uuid, p_organization_id uuid, p_step_id text, p_approved boolean DEFAULT true,
                             p_actor text DEFAULT NULL, p_reason text DEFAULT NULL, p_role text DEFAULT NULL) RETURNS text
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_approve_step';
COMMENT ON FUNCTION approve_step(uuid, uuid, text, boolean, text, text, text) IS
'Approves a step that waits for it, or refuses it: then it has failed. Returns the run''s status. p_role is the role of the actor, admin or owner (NULL: the backend has decided); with PostgREST claims it is their holdfast_role. A step that nobody decides on within 24 hours has failed. Raises PT403, PT404, PT409 when the step does not wait.';

CREATE FUNCTION reap_run_steps(p_most integer DEFAULT 100) RETURNS integer
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_reap_run_steps';
COMMENT ON FUNCTION reap_run_steps(integer) IS
'Brings up to p_most (1 to 10000) of each kind up to date, and returns how many: steps whose lease ran out (tried again, or failed after 5 lost workers; the attempt shows in unresolved_calls with the most it can have cost), approvals that nobody gave, runs past their time. What another session works on is left alone.';

CREATE VIEW ai_workflow_runs WITH (security_barrier) AS
    SELECT r.organization_id, r.run_id, r.workflow_id, r.name, r.version, r.user_id, r.status, r.input,
           (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'id', s.step_id, 'status', s.status, 'output', s.output, 'error', s.error, 'provider', s.provider,
                'model', s.model, 'variant', s.variant, 'attempts', s.fence, 'cached', s.cached,
                'fallbackUsed', s.fallback_used, 'costUSD', trim_scale(s.cost), 'latencyMs', s.latency_ms, 'promptTokens', s.prompt_tokens,
                'completionTokens', s.completion_tokens, 'startedAt', s.started_at, 'endedAt', s.ended_at))
                ORDER BY s.step_no)
            FROM holdfast.workflow_run_steps s
            WHERE s.organization_id = r.organization_id AND s.run_id = r.run_id) AS steps,
           r.error, trim_scale(r.total_cost) AS total_cost_usd, trim_scale(r.max_cost) AS max_cost_usd,
           (extract(epoch FROM coalesce(r.ended_at, clock_timestamp()) - r.created_at) * 1000)::bigint AS total_latency_ms,
           r.intent_workflow_id, r.api_key_id, r.community_id, r.tool, r.created_at, r.deadline_at, r.ended_at,
           r.replay_token, r.replay_of, r.batch_id, r.batch_no
    FROM holdfast.workflow_runs r
    WHERE r.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization());
COMMENT ON VIEW ai_workflow_runs IS
'Runs as the outside sees them: steps is a JSON array, total_cost_usd what the ledger has of the run, total_latency_ms the time from its start to its end or to now.';

CREATE FUNCTION get_run(p_run_id uuid, p_organization_id uuid) RETURNS SETOF holdfast.ai_workflow_runs
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    RETURN QUERY SELECT * FROM holdfast.ai_workflow_runs r
    WHERE r.organization_id = p_organization_id AND r.run_id = p_run_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization has no run %.', p_run_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('runId', p_run_id);
    END IF;
END $$;
COMMENT ON FUNCTION get_run(uuid, uuid) IS 'One run as ai_workflow_runs shows it. Raises PT403, PT404.';

CREATE FUNCTION list_runs(p_organization_id uuid, p_workflow_id uuid DEFAULT NULL, p_user_id text DEFAULT NULL,
                          p_limit integer DEFAULT 50) RETURNS SETOF holdfast.ai_workflow_runs
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(p_organization_id);
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit is %, outside 1 to 1000.', p_limit
            USING ERRCODE = 'PT400', DETAIL = jsonb_build_object('field', 'p_limit');
    END IF;
    RETURN QUERY SELECT * FROM holdfast.ai_workflow_runs r
    WHERE r.organization_id = p_organization_id AND (p_workflow_id IS NULL OR r.workflow_id = p_workflow_id)
      AND (p_user_id IS NULL OR r.user_id = p_user_id)
    ORDER BY r.created_at DESC LIMIT p_limit;
END $$;
COMMENT ON FUNCTION list_runs(uuid, uuid, text, integer) IS
'The newest runs of the organization, of one definition or user where given. Raises PT400, PT403.';

CREATE FUNCTION get_run_events(p_run_id uuid, p_organization_id uuid, p_after bigint DEFAULT 0, p_most integer DEFAULT 1000,
                               OUT event_no bigint, OUT at timestamptz, OUT event text, OUT step_id text, OUT detail jsonb)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.event_no, e.at, e.event, e.step_id, e.detail FROM holdfast.workflow_run_events e
    WHERE holdfast.require_organization(p_organization_id) AND e.organization_id = p_organization_id
      AND e.run_id = p_run_id AND e.event_no > p_after
    ORDER BY e.event_no LIMIT least(p_most, 10000)
$$;
COMMENT ON FUNCTION get_run_events(uuid, uuid, bigint, integer) IS
'What happened in a run after event p_after, in order, without a gap: run.started, step.ready, step.started, step.completed, step.failed, step.retried, step.handed_on, step.delayed, step.waiting, step.approved, step.refused, step.skipped, step.unreached, step.cancelled, run.completed, run.failed, run.cancelled. NOTIFY holdfast_runs with the run''s id tells of more. Raises PT403.';
