-- Workflows as the outside sees them: document, state, cost and limit in one row.

CREATE VIEW intent_workflows WITH (security_barrier) AS
    SELECT w.id, w.organization_id, w.graph, w.state,
           w.workflow_data || jsonb_build_object('total_ai_cost', trim_scale(c.spent)) AS workflow_data,
           trim_scale(c.limit_usd) AS cost_limit, trim_scale(c.spent) AS total_ai_cost,
           trim_scale(c.held) AS held_cost, w.created_at, w.updated_at, w.fence
    FROM holdfast.workflows w
    JOIN holdfast.budget_counters c
      ON c.budget_id = w.id AND c.organization_id = w.organization_id AND c.scope = 'workflow'
    WHERE w.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization());
COMMENT ON VIEW intent_workflows IS
'Workflows with their cost in USD. INSERT makes one, UPDATE changes workflow_data and cost_limit; workflow_data always shows total_ai_cost, which cannot be set.';

CREATE FUNCTION check_cost_limit(p_cost_limit numeric) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_cost_limit IS NULL OR p_cost_limit < 0 OR p_cost_limit > 1000000000000000
       OR p_cost_limit = 'NaN' OR scale(p_cost_limit) > 18 THEN
        RAISE EXCEPTION 'A cost limit of % USD cannot be kept.', coalesce(p_cost_limit::text, 'NULL')
            USING ERRCODE = 'PT400', HINT = 'Give 0 to 1000000000000000 USD with at most 18 decimals.';
    END IF;
    RETURN p_cost_limit;
END $$;
COMMENT ON FUNCTION check_cost_limit(numeric) IS
'Returns a workflow''s limit in USD as it is, or raises PT400 when it is no amount that can be kept.';

CREATE FUNCTION insert_workflow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    initial text;
BEGIN
    PERFORM holdfast.require_organization(new.organization_id);
    IF new.organization_id IS NULL THEN
        RAISE EXCEPTION 'A workflow needs an organization_id.' USING ERRCODE = 'PT400';
    END IF;
    new.id := coalesce(new.id, gen_random_uuid());
    new.graph := coalesce(new.graph, 'intent');
    initial := holdfast.initial_workflow_state(new.graph);
    IF coalesce(new.state, initial) <> initial THEN
        RAISE EXCEPTION 'A workflow begins in state %, not %.', initial, new.state USING ERRCODE = 'PT409';
    END IF;
    new.workflow_data := coalesce(new.workflow_data, '{}');
    IF jsonb_typeof(new.workflow_data) <> 'object' THEN
        RAISE EXCEPTION 'workflow_data is no JSON object.' USING ERRCODE = 'PT400';
    END IF;
    new.cost_limit := holdfast.check_cost_limit(coalesce(new.cost_limit, 1.00));
    INSERT INTO holdfast.workflows AS w (id, organization_id, graph, state, workflow_data)
    VALUES (new.id, new.organization_id, new.graph, initial, new.workflow_data - 'total_ai_cost')
    RETURNING w.state, w.created_at, w.updated_at INTO new.state, new.created_at, new.updated_at;
    INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, limit_usd)
    VALUES (new.id, new.organization_id, '-infinity', 'workflow', new.cost_limit);
    -- Where workers take it from its first state, it waits for one from now on.
    INSERT INTO holdfast.workflow_leases (organization_id, workflow_id, graph, state, work_state, fence, attempt, attempts, ttl, due_at)
    SELECT new.organization_id, new.id, new.graph, initial, s.state, 0, 0, s.attempts, s.lease_ttl, clock_timestamp()
    FROM holdfast.workflow_transitions t JOIN holdfast.workflow_states s ON s.graph = t.graph AND s.state = t.to_state
    WHERE t.graph = new.graph AND t.from_state = initial AND t.kind = 'claim';
    new.total_ai_cost := 0;
    new.held_cost := 0;
    new.fence := 0;
    new.workflow_data := new.workflow_data || '{"total_ai_cost": 0}';
    RETURN new;
END $$;
COMMENT ON FUNCTION insert_workflow() IS
'Trigger of intent_workflows: makes the workflow and its cost counter. Raises PT400, PT403, PT409 (state), PT422 (graph).';

CREATE FUNCTION update_workflow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.require_organization(old.organization_id);
    IF new.state IS DISTINCT FROM old.state THEN
        RAISE EXCEPTION 'The state of a workflow is not set directly: % to % is refused.', old.state, new.state
            USING ERRCODE = 'PT409', HINT = 'A state changes by holdfast.advance_workflow() only.';
    END IF;
    IF new IS DISTINCT FROM old AND EXISTS (SELECT FROM holdfast.workflow_states s
                                            WHERE s.graph = old.graph AND s.state = old.state AND s.is_terminal) THEN
        RAISE EXCEPTION 'The workflow has ended in state %: it is not changed any more.', old.state USING ERRCODE = 'PT409',
            DETAIL = jsonb_build_object('currentState', old.state), HINT = 'Costs that come late are still recorded.';
    END IF;
    IF (new.id, new.organization_id, new.graph, new.created_at, new.total_ai_cost, new.held_cost, new.fence)
       IS DISTINCT FROM
       (old.id, old.organization_id, old.graph, old.created_at, old.total_ai_cost, old.held_cost, old.fence) THEN
        RAISE EXCEPTION 'Of a workflow only workflow_data and cost_limit can be changed.'
            USING ERRCODE = 'PT409', HINT = 'Costs change by settlements: holdfast.record_usage_and_increment().';
    END IF;
    IF new.workflow_data IS DISTINCT FROM old.workflow_data THEN
        IF jsonb_typeof(coalesce(new.workflow_data, 'null')) <> 'object' THEN
            RAISE EXCEPTION 'workflow_data is no JSON object.' USING ERRCODE = 'PT400';
        END IF;
        -- Only the members that differ are written: what another session, or a transition, has just stored stays.
        UPDATE holdfast.workflows w SET updated_at = now(), workflow_data =
            (w.workflow_data - ARRAY(SELECT jsonb_object_keys(old.workflow_data) EXCEPT SELECT jsonb_object_keys(new.workflow_data)))
            || coalesce((SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(new.workflow_data) n
                         WHERE n.key <> 'total_ai_cost' AND old.workflow_data -> n.key IS DISTINCT FROM n.value), '{}')
        WHERE w.id = old.id AND w.organization_id = old.organization_id
        RETURNING w.workflow_data || jsonb_build_object('total_ai_cost', old.total_ai_cost) INTO new.workflow_data;
    END IF;
    IF new.cost_limit IS DISTINCT FROM old.cost_limit THEN
        UPDATE holdfast.budget_counters SET
            limit_usd = holdfast.check_cost_limit(new.cost_limit),
            overrun = greatest(overrun, spent + held - new.cost_limit)
        WHERE budget_id = old.id AND organization_id = old.organization_id AND period_start = '-infinity';
    END IF;
    RETURN new;
END $$;
COMMENT ON FUNCTION update_workflow() IS
'Trigger of intent_workflows: changes workflow_data and cost_limit. Raises PT400 for bad values, PT409 for any other column, and for a workflow that has ended. Of a document only the members that differ are written, so that sessions which change different ones keep each other''s.';

CREATE FUNCTION delete_workflow() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'A workflow is not deleted: the ledger refers to it.' USING ERRCODE = 'PT409';
END $$;
COMMENT ON FUNCTION delete_workflow() IS 'Trigger of intent_workflows: raises PT409.';

CREATE TRIGGER insert_workflow INSTEAD OF INSERT ON intent_workflows
    FOR EACH ROW EXECUTE FUNCTION insert_workflow();
CREATE TRIGGER update_workflow INSTEAD OF UPDATE ON intent_workflows
    FOR EACH ROW EXECUTE FUNCTION update_workflow();
CREATE TRIGGER delete_workflow INSTEAD OF DELETE ON intent_workflows
    FOR EACH ROW EXECUTE FUNCTION delete_workflow();

CREATE FUNCTION create_workflow(p_organization_id uuid, p_workflow_data jsonb DEFAULT '{}',
                                p_graph text DEFAULT 'intent', p_cost_limit numeric DEFAULT NULL) RETURNS uuid
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO holdfast.intent_workflows (organization_id, workflow_data, graph, cost_limit)
    VALUES (p_organization_id, p_workflow_data, p_graph, p_cost_limit)
    RETURNING id
$$;
COMMENT ON FUNCTION create_workflow(uuid, jsonb, text, numeric) IS
'Makes a workflow in the initial state of its graph and returns its id. p_cost_limit is the most it may spend, in USD (NULL: 1.00). Raises PT400, PT403, PT422 (a graph that is unknown or not valid).';

CREATE FUNCTION refuse_state_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (new.state, new.fence, new.graph, new.id, new.organization_id)
       IS DISTINCT FROM (old.state, old.fence, old.graph, old.id, old.organization_id) THEN
        RAISE EXCEPTION 'The state of a workflow is not set directly: % to % is refused.', old.state, new.state
            USING ERRCODE = 'PT409', HINT = 'A state changes by holdfast.advance_workflow() only.';
    ELSIF EXISTS (SELECT FROM holdfast.workflow_states s
                  WHERE s.graph = old.graph AND s.state = old.state AND s.is_terminal) THEN
        RAISE EXCEPTION 'The workflow has ended in state %: it is not changed any more.', old.state USING ERRCODE = 'PT409';
    END IF;
    RETURN new;
END $$;
COMMENT ON FUNCTION refuse_state_change() IS
'Trigger: raises PT409 when a workflow''s state, fence, graph or key is written directly, or anything of one that has ended.';

-- advance_workflow() changes the row in place, where no trigger fires: nothing that can be set lets others past this one.
CREATE TRIGGER state_by_transition_only BEFORE UPDATE ON workflows
    FOR EACH ROW EXECUTE FUNCTION refuse_state_change();
ALTER TABLE workflows ENABLE ALWAYS TRIGGER state_by_transition_only;
