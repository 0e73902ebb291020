-- 16 clients have 64 workflows each of both graphs, and 64 rows for the bare UPDATE.
BEGIN;
INSERT INTO holdfast.workflow_states (graph, state, step, status, is_initial, is_terminal) VALUES
    ('ring', 'A', 1, 'pending', true, false), ('ring', 'B', 1, 'pending', false, false),
    ('ring', 'C', 1, 'pending', false, false), ('ring', 'END', 1, 'completed', false, true);
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state) VALUES
    ('ring', 'A', 'B'), ('ring', 'B', 'C'), ('ring', 'C', 'A'), ('ring', 'C', 'END');
COMMIT;
INSERT INTO holdfast.intent_workflows (id, organization_id, graph, workflow_data)
SELECT bench.workflow(g.base + n), bench.organization(g.base + n % 200), g.graph, '{"topic": "knots"}'
FROM (VALUES (6000000, 'ring'), (7000000, 'intent')) g(base, graph), generate_series(1, 1024) n;
SELECT count(a.state) FROM holdfast.intent_workflows w,
    LATERAL holdfast.advance_workflow(w.id, w.organization_id, 'CREATED', 'ICP_PENDING') a WHERE w.graph = 'intent' AND w.state = 'CREATED'
    AND w.id > bench.workflow(7000000);

CREATE TABLE classic.states (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    state text NOT NULL,
    workflow_data jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO classic.states (id, organization_id, state, workflow_data)
SELECT bench.workflow(6000000 + n), bench.organization(6000000 + n % 200), 'A', '{"topic": "knots"}' FROM generate_series(1, 1024) n;

-- Brings everything back to where a client begins.
CREATE PROCEDURE bench.begin_anew() LANGUAGE plpgsql AS $$
BEGIN
    UPDATE classic.states SET state = 'A' WHERE state <> 'A';
    FOR i IN 1..2 LOOP
        PERFORM holdfast.advance_workflow(w.id, w.organization_id, w.state, b.next)
        FROM holdfast.workflows w JOIN (VALUES ('B', 'C'), ('C', 'A'), ('ICP_PROCESSING', 'ICP_FAILED'), ('ICP_FAILED', 'ICP_PENDING'))
             b(state, next) USING (state);
    END LOOP;
END $$;
