-- How a workflow moves: transitions, and the leases of those who work on it.

CREATE FUNCTION advance_workflow(p_workflow_id uuid, p_organization_id uuid, p_expected_state text, p_next_state text,
                                 p_actor text DEFAULT NULL, p_reason text DEFAULT NULL, p_data_patch jsonb DEFAULT NULL,
                                 p_fence bigint DEFAULT NULL, p_result jsonb DEFAULT NULL,
                                 p_correlation_id text DEFAULT NULL,
                                 OUT state text, OUT step integer, OUT status text, OUT fence bigint)
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_advance_workflow';
COMMENT ON FUNCTION advance_workflow(uuid, uuid, text, text, text, text, jsonb, bigint, jsonb, text) IS
'Moves a workflow from p_expected_state to p_next_state, of any number of contenders exactly one, and appends to workflow_history in the same transaction. p_data_patch: members that are merged into workflow_data. p_result: kept with the history row, for a step''s result that is not to be rewritten. p_fence: the fence that claim_workflow_step() or the last transition returned; the move is refused when another has come since. Into a state with a lease p_actor becomes its worker. Returns the new state with its step and status, and the new fence. Raises PT400, PT403, PT404 (workflow), PT409 with currentState, expectedState and attemptedState in DETAIL for another current state, an illegal transition or an old fence (then with currentFence and expectedFence too).';

CREATE FUNCTION claim_workflow_step(p_organization_id uuid, p_worker text, p_most integer DEFAULT 1,
                                    p_states text[] DEFAULT NULL, p_graph text DEFAULT 'intent',
                                    p_ttl interval DEFAULT NULL, p_correlation_id text DEFAULT NULL,
                                    OUT workflow_id uuid, OUT state text, OUT step integer, OUT fence bigint,
                                    OUT attempt integer, OUT expires_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_claim_workflow_step';
COMMENT ON FUNCTION claim_workflow_step(uuid, text, integer, text[], text, interval, text) IS
'Takes up to p_most (1 to 100) workflows that wait for a worker, or whose worker''s lease has run out, and brings each to the state in which it is worked on: one row each, none when nothing waits. What another session is just taking is passed over, not waited for. p_states: only work in these states (such as ICP_PROCESSING). The lease lasts p_ttl (NULL: as the graph says) and is renewed by heartbeat(); fence is to be given to advance_workflow(). Raises PT400, PT403, PT422 (graph).';

CREATE FUNCTION heartbeat(p_organization_id uuid, p_leases jsonb, p_ttl interval DEFAULT NULL,
                          OUT workflow_id uuid, OUT fence bigint, OUT alive boolean, OUT expires_at timestamptz)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids uuid[];
    fences bigint[];
BEGIN
    IF p_organization_id IS NULL OR jsonb_typeof(p_leases) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'A heartbeat needs an organization and an array of leases.' USING ERRCODE = 'PT400',
            HINT = 'Give p_leases as [{"workflow_id": "…", "fence": 5}, …].';
    ELSIF jsonb_array_length(p_leases) > 10000 THEN
        RAISE EXCEPTION 'p_leases has % elements, more than 10000.', jsonb_array_length(p_leases)
            USING ERRCODE = 'PT400', HINT = 'Send it in several calls.';
    ELSIF p_ttl NOT BETWEEN '1 second' AND '24 hours' THEN
        RAISE EXCEPTION 'p_ttl is %, outside 1 second to 24 hours.', p_ttl USING ERRCODE = 'PT400';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    BEGIN
        SELECT array_agg(g.workflow_id), array_agg(g.fence) INTO ids, fences
        FROM jsonb_to_recordset(p_leases) AS g(workflow_id uuid, fence bigint);
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'p_leases has an element that is no lease: %.', SQLERRM
            USING ERRCODE = 'PT400', HINT = 'Give p_leases as [{"workflow_id": "…", "fence": 5}, …].';
    END;
    RETURN QUERY
    WITH given AS (
        SELECT DISTINCT g.workflow_id, g.fence FROM unnest(ids, fences) AS g(workflow_id, fence)
    ), held AS MATERIALIZED ( -- in one order, so that no two heartbeats wait for each other
        SELECT l.workflow_id, l.fence FROM holdfast.workflow_leases l JOIN given g USING (workflow_id, fence)
        WHERE l.organization_id = p_organization_id AND l.fails_at IS NOT NULL
        ORDER BY l.workflow_id FOR NO KEY UPDATE OF l
    ), renewed AS (
        UPDATE holdfast.workflow_leases l SET ttl = coalesce(p_ttl, l.ttl), due_at = clock_timestamp() + coalesce(p_ttl, l.ttl),
            fails_at = clock_timestamp() + coalesce(p_ttl, l.ttl) * CASE WHEN l.attempt < l.attempts THEN 2 ELSE 1 END
        FROM held h WHERE l.organization_id = p_organization_id AND l.workflow_id = h.workflow_id AND l.fence = h.fence
        RETURNING l.workflow_id, l.fence, l.due_at
    )
    SELECT g.workflow_id, g.fence, r.workflow_id IS NOT NULL, r.due_at
    FROM given g LEFT JOIN renewed r USING (workflow_id, fence) ORDER BY g.workflow_id, g.fence;
END $$;
COMMENT ON FUNCTION heartbeat(uuid, jsonb, interval) IS
'Renews leases, an array of {"workflow_id", "fence"}, for p_ttl (NULL: as long as they were taken for), in one statement. One row for each: alive is false, and the work is to be dropped, when the workflow has moved on or another worker has taken it over. Raises PT400, PT403.';

CREATE FUNCTION reap_workflow_leases(p_most integer DEFAULT 1000) RETURNS integer
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_reap_workflow_leases';
COMMENT ON FUNCTION reap_workflow_leases(integer) IS
'Moves up to p_most (1 to 10000) workflows whose lease ran out for the last time allowed, or ran out and was not taken over for as long again, to the state that the graph names for failure, and returns how many it moved. Raises PT400.';

CREATE FUNCTION workflow_overview(p_workflow_id uuid, p_organization_id uuid, p_most_history integer DEFAULT 100,
                                  OUT workflow_id uuid, OUT graph text, OUT state text, OUT step integer, OUT status text,
                                  OUT fence bigint, OUT open_steps integer[], OUT next_states text[],
                                  OUT total_ai_cost numeric, OUT held_cost numeric, OUT cost_limit numeric,
                                  OUT lease jsonb, OUT history jsonb, OUT created_at timestamptz, OUT updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_workflow_id IS NULL OR p_organization_id IS NULL OR p_most_history IS NULL OR p_most_history NOT BETWEEN 0 AND 10000 THEN
        RAISE EXCEPTION 'An overview needs a workflow, its organization and 0 to 10000 rows of history.' USING ERRCODE = 'PT400';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT w.id, w.graph, w.state, s.step, s.status, w.fence,
           (SELECT coalesce(array_agg(DISTINCT o.step ORDER BY o.step), '{}') FROM holdfast.workflow_states o
            WHERE o.graph = w.graph AND o.step <= s.step),
           (SELECT coalesce(array_agg(t.to_state ORDER BY t.kind = 'cancel', t.to_state), '{}')
            FROM holdfast.workflow_transitions t WHERE t.graph = w.graph AND t.from_state = w.state),
           trim_scale(c.spent), trim_scale(c.held), trim_scale(c.limit_usd),
           (SELECT jsonb_build_object('worker', l.worker, 'attempt', l.attempt, 'attempts', l.attempts, 'expiresAt', l.due_at)
            FROM holdfast.workflow_leases l
            WHERE l.organization_id = w.organization_id AND l.workflow_id = w.id AND l.fails_at IS NOT NULL),
           (SELECT coalesce(jsonb_agg(jsonb_build_object('seq', h.seq, 'from', h.from_state, 'to', h.to_state, 'actor', h.actor,
                    'reason', h.reason, 'correlationId', h.correlation_id, 'at', h.created_at) ORDER BY h.seq), '[]')
            FROM holdfast.workflow_history h
            WHERE h.organization_id = w.organization_id AND h.workflow_id = w.id AND h.seq > w.fence - p_most_history),
           w.created_at, w.updated_at
    INTO workflow_id, graph, state, step, status, fence, open_steps, next_states, total_ai_cost, held_cost, cost_limit, lease,
         history, created_at, updated_at
    FROM holdfast.workflows w
    JOIN holdfast.budget_counters c ON c.budget_id = w.id AND c.organization_id = w.organization_id
                                   AND c.period_start = '-infinity' AND c.scope = 'workflow'
    LEFT JOIN holdfast.workflow_states s ON s.graph = w.graph AND s.state = w.state
    WHERE w.id = p_workflow_id AND w.organization_id = p_organization_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization has no workflow %.', p_workflow_id
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('workflowId', p_workflow_id);
    END IF;
END $$;
COMMENT ON FUNCTION workflow_overview(uuid, uuid, integer) IS
'A workflow for a page, without its document: state with step and status, the steps that are open, the states that may follow, what it has spent, holds and may spend in USD, who works on it until when (lease; NULL: nobody), and its last p_most_history transitions, oldest first. Raises PT400, PT403, PT404.';
