-- Graphs of workflows: what is wrong with one, and what may be changed in one that is used.

CREATE FUNCTION validate_workflow_graph(p_graph text DEFAULT NULL, OUT graph text, OUT state text, OUT fault text,
                                        OUT detail text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE states AS (
        SELECT s.* FROM holdfast.workflow_states s WHERE p_graph IS NULL OR s.graph = p_graph
    ), transitions AS (
        SELECT t.* FROM holdfast.workflow_transitions t WHERE p_graph IS NULL OR t.graph = p_graph
    ), graphs AS (
        SELECT s.graph FROM states s UNION SELECT t.graph FROM transitions t UNION SELECT p_graph WHERE p_graph IS NOT NULL
    ), reached AS (
        SELECT s.graph, s.state FROM states s WHERE s.is_initial
        UNION
        SELECT t.graph, t.to_state FROM transitions t JOIN reached r ON r.graph = t.graph AND r.state = t.from_state
    ), ending AS (
        SELECT s.graph, s.state FROM states s WHERE s.is_terminal
        UNION
        SELECT t.graph, t.from_state FROM transitions t JOIN ending e ON e.graph = t.graph AND e.state = t.to_state
    )
    SELECT g.graph, NULL::text, 'no_states', 'there is no graph of this name: it has no states'
    FROM graphs g WHERE NOT EXISTS (SELECT FROM states s WHERE s.graph = g.graph)
    UNION ALL
    SELECT g.graph, NULL, 'no_initial', 'no state is the initial one'
    FROM graphs g WHERE NOT EXISTS (SELECT FROM states s WHERE s.graph = g.graph AND s.is_initial)
        AND EXISTS (SELECT FROM states s WHERE s.graph = g.graph)
    UNION ALL
    SELECT s.graph, s.state, 'many_initial', 'more than one state is the initial one' FROM states s
    WHERE s.is_initial AND EXISTS (SELECT FROM states o WHERE o.graph = s.graph AND o.is_initial AND o.state <> s.state)
    UNION ALL
    SELECT s.graph, s.state, 'initial_is_work', 'the initial state has a lease, and nobody holds it' FROM states s
    WHERE s.is_initial AND s.lease_ttl IS NOT NULL
    UNION ALL
    SELECT s.graph, s.state, 'unreachable', 'no way leads here from the initial state' FROM states s
    WHERE NOT EXISTS (SELECT FROM reached r WHERE r.graph = s.graph AND r.state = s.state)
    UNION ALL
    SELECT s.graph, s.state, 'dead_end', 'the state is not terminal and no transition leads out of it' FROM states s
    WHERE NOT s.is_terminal AND NOT EXISTS (SELECT FROM transitions t WHERE t.graph = s.graph AND t.from_state = s.state)
    UNION ALL
    SELECT s.graph, s.state, 'endless', 'no way leads from here to a terminal state' FROM states s
    WHERE EXISTS (SELECT FROM transitions t WHERE t.graph = s.graph AND t.from_state = s.state)
      AND NOT EXISTS (SELECT FROM ending e WHERE e.graph = s.graph AND e.state = s.state)
    UNION ALL
    SELECT s.graph, s.state, 'leaves_terminal', 'a transition leads out of this terminal state, to ' || t.to_state
    FROM states s JOIN transitions t ON t.graph = s.graph AND t.from_state = s.state WHERE s.is_terminal
    UNION ALL
    SELECT DISTINCT t.graph, n.state, 'unknown_state', 'a transition names this state, which is not in workflow_states'
    FROM transitions t, LATERAL (VALUES (t.from_state), (t.to_state)) n(state)
    WHERE NOT EXISTS (SELECT FROM states s WHERE s.graph = t.graph AND s.state = n.state)
    UNION ALL
    SELECT s.graph, s.state, 'no_step', 'the state is not terminal and has no step' FROM states s
    WHERE s.step IS NULL AND NOT s.is_terminal
    UNION ALL
    SELECT s.graph, s.state, 'no_failure', 'the state has a lease and no transition of kind failure' FROM states s
    WHERE s.lease_ttl IS NOT NULL
      AND NOT EXISTS (SELECT FROM transitions t WHERE t.graph = s.graph AND t.from_state = s.state AND t.kind = 'failure')
    UNION ALL
    SELECT s.graph, s.state, 'no_lease', 'the claim from ' || t.from_state || ' leads here, where there is no lease_ttl'
    FROM transitions t JOIN states s ON s.graph = t.graph AND s.state = t.to_state
    WHERE t.kind = 'claim' AND s.lease_ttl IS NULL
    ORDER BY 1, 3, 2, 4
$$;
COMMENT ON FUNCTION validate_workflow_graph(text) IS
'One row for each fault of a graph (NULL: of all graphs), with its state: no_states, no_initial, many_initial, initial_is_work, unreachable, dead_end, endless, leaves_terminal, unknown_state, no_step, no_failure, no_lease. No row: the graph is valid.';

CREATE FUNCTION faults_of_used_graphs(OUT graph text, OUT state text, OUT fault text, OUT detail text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.* FROM holdfast.validate_workflow_graph('intent') v
    UNION
    SELECT v.* FROM holdfast.validate_workflow_graph() v
    WHERE EXISTS (SELECT FROM holdfast.workflows w WHERE w.graph = v.graph)
    ORDER BY 1, 3, 2, 4
$$;
COMMENT ON FUNCTION faults_of_used_graphs() IS
'The faults, as of validate_workflow_graph(), of the graph intent and of every graph that workflows are on. No row: none of them is stuck for that.';

CREATE FUNCTION check_graph_in_use(p_graph text, p_is_insert boolean) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own CONSTANT text := (pg_current_xact_id()::text::numeric % 4294967296)::text;
    faults jsonb;
    stranded record;
BEGIN
    -- A graph that this transaction begins has no workflow yet: it may come in any order, as from a dump.
    IF p_is_insert AND NOT EXISTS (SELECT FROM holdfast.workflow_states s WHERE s.graph = p_graph AND s.xmin::text <> own)
       AND NOT EXISTS (SELECT FROM holdfast.workflow_transitions t WHERE t.graph = p_graph AND t.xmin::text <> own) THEN
        RETURN false;
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'A graph is changed in a READ COMMITTED transaction only.'
            USING ERRCODE = 'PT409', HINT = 'It has to see the workflows that others have just made.';
    END IF;
    -- Waits for every workflow that is just being made or moved, and keeps them as they are until the change is decided.
    LOCK TABLE holdfast.workflows IN SHARE MODE;
    SELECT jsonb_agg(jsonb_build_object('state', v.state, 'fault', v.fault)) INTO faults
    FROM holdfast.validate_workflow_graph(p_graph) v;
    IF faults IS NOT NULL AND EXISTS (SELECT FROM holdfast.workflows w WHERE w.graph = p_graph) THEN
        RAISE EXCEPTION 'Graph "%" is in use, and the change would make it invalid: % at state %.', p_graph,
                faults -> 0 ->> 'fault', coalesce(faults -> 0 ->> 'state', 'none')
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('graph', p_graph, 'faults', faults),
                  HINT = 'Make all changes that belong together in one transaction; holdfast.validate_workflow_graph() names every fault.';
    END IF;
    SELECT w.id, w.organization_id, w.state INTO stranded
    FROM holdfast.workflows w LEFT JOIN holdfast.workflow_states s ON s.graph = w.graph AND s.state = w.state
    WHERE w.graph = p_graph AND (s.state IS NULL OR w.fence = 0 AND NOT s.is_initial OR (
        s.lease_ttl IS NOT NULL OR EXISTS (SELECT FROM holdfast.workflow_transitions t
                                           WHERE t.graph = w.graph AND t.from_state = w.state AND t.kind = 'claim'))
        <> EXISTS (SELECT FROM holdfast.workflow_leases l WHERE l.organization_id = w.organization_id AND l.workflow_id = w.id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'The change of graph "%" would strand workflow % in state %.', p_graph, stranded.id, stranded.state
            USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('graph', p_graph, 'workflowId', stranded.id, 'state', stranded.state),
                  HINT = 'Move the workflows out of the state first; what waits or is worked on in a state cannot change under them.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION check_graph_in_use(text, boolean) IS
'Raises PT409 when a graph that workflows use has become invalid, or one of its workflows is in a state that is gone or that waits for workers where it did not before. False when the graph was begun in this transaction.';

CREATE FUNCTION graph_changed() RETURNS trigger
    LANGUAGE C SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'holdfast_graph_changed';
COMMENT ON FUNCTION graph_changed() IS 'Trigger: tells every server process to read the graphs anew, and this transaction to check them again.';

CREATE FUNCTION graph_must_hold() RETURNS trigger
    LANGUAGE C SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'holdfast_graph_must_hold';
COMMENT ON FUNCTION graph_must_hold() IS
'Deferred trigger: check_graph_in_use() for the graph of the row, once for all its changes.';

CREATE FUNCTION refuse_shipped_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of what the built-in graph has is refused.', TG_OP
        USING ERRCODE = 'PT409', HINT = 'Add states and transitions to it, or copy it under another name.';
END $$;
COMMENT ON FUNCTION refuse_shipped_change() IS 'Trigger: raises PT409 for a change of a shipped state or transition.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_states
    FOR EACH STATEMENT EXECUTE FUNCTION graph_changed();
CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION graph_changed();
CREATE TRIGGER change_begins BEFORE INSERT OR UPDATE OR DELETE ON workflow_states
    FOR EACH STATEMENT EXECUTE FUNCTION graph_changed();
CREATE TRIGGER change_begins BEFORE INSERT OR UPDATE OR DELETE ON workflow_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION graph_changed();
CREATE TRIGGER shipped_stays BEFORE UPDATE OR DELETE ON workflow_states
    FOR EACH ROW WHEN (old.shipped) EXECUTE FUNCTION refuse_shipped_change();
CREATE TRIGGER shipped_stays BEFORE UPDATE OR DELETE ON workflow_transitions
    FOR EACH ROW WHEN (old.shipped) EXECUTE FUNCTION refuse_shipped_change();
CREATE TRIGGER not_shipped BEFORE INSERT OR UPDATE ON workflow_states
    FOR EACH ROW WHEN (new.shipped) EXECUTE FUNCTION refuse_shipped_change();
CREATE TRIGGER not_shipped BEFORE INSERT OR UPDATE ON workflow_transitions
    FOR EACH ROW WHEN (new.shipped) EXECUTE FUNCTION refuse_shipped_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON workflow_states FOR EACH STATEMENT EXECUTE FUNCTION refuse_shipped_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON workflow_transitions FOR EACH STATEMENT EXECUTE FUNCTION refuse_shipped_change();
-- A constraint trigger cannot be replaced where an upgrade meets it.
DROP TRIGGER IF EXISTS graph_holds ON workflow_states;
CREATE CONSTRAINT TRIGGER graph_holds AFTER INSERT OR UPDATE OR DELETE ON workflow_states
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION graph_must_hold();
DROP TRIGGER IF EXISTS graph_holds ON workflow_transitions;
CREATE CONSTRAINT TRIGGER graph_holds AFTER INSERT OR UPDATE OR DELETE ON workflow_transitions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION graph_must_hold();
ALTER TABLE workflow_states ENABLE ALWAYS TRIGGER tell_every_process, ENABLE ALWAYS TRIGGER change_begins, ENABLE ALWAYS TRIGGER shipped_stays,
    ENABLE ALWAYS TRIGGER not_shipped, ENABLE ALWAYS TRIGGER no_truncate, ENABLE ALWAYS TRIGGER graph_holds;
ALTER TABLE workflow_transitions ENABLE ALWAYS TRIGGER tell_every_process, ENABLE ALWAYS TRIGGER change_begins, ENABLE ALWAYS TRIGGER shipped_stays,
    ENABLE ALWAYS TRIGGER not_shipped, ENABLE ALWAYS TRIGGER no_truncate, ENABLE ALWAYS TRIGGER graph_holds;

CREATE FUNCTION get_step_from_state(p_state text, p_graph text DEFAULT 'intent') RETURNS integer
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_get_step_from_state';
COMMENT ON FUNCTION get_step_from_state(text, text) IS
'The step that a state belongs to; NULL for a state without one, such as CANCELLED. Raises PT400, PT422 for an unknown graph or state.';

CREATE FUNCTION get_status_from_state(p_state text, p_graph text DEFAULT 'intent') RETURNS text
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_get_status_from_state';
COMMENT ON FUNCTION get_status_from_state(text, text) IS
'What a state means in one word; of the graph intent: created, pending, processing, completed, failed or cancelled. Raises PT400, PT422 for an unknown graph or state.';

CREATE FUNCTION can_access_step(p_state text, p_step integer, p_graph text DEFAULT 'intent') RETURNS boolean
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_can_access_step';
COMMENT ON FUNCTION can_access_step(text, integer, text) IS
'Whether a step (from 1) is open in this state: it is when it is not after the state''s own. Of a state without a step none is. Raises PT400, PT422 for an unknown graph or state.';

CREATE FUNCTION initial_workflow_state(p_graph text) RETURNS text
    LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_initial_workflow_state';
COMMENT ON FUNCTION initial_workflow_state(text) IS
'The state in which a new workflow of the graph begins; the graph stays usable until the transaction ends. Raises PT422 for an unknown or invalid graph.';
