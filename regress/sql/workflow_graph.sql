-- Graphs as data: the built-in one, what is wrong with others, and what may not become of one that is in use.
\set SHOW_CONTEXT never
\set org '\'96a00000-0000-0000-0000-000000000001\''
SELECT count(*) AS states, count(*) FILTER (WHERE is_terminal) AS terminal, count(lease_ttl) AS work FROM holdfast.workflow_states WHERE graph = 'intent';
SELECT kind, count(*) FROM holdfast.workflow_transitions WHERE graph = 'intent' GROUP BY kind ORDER BY kind;
SELECT * FROM holdfast.validate_workflow_graph();
SELECT * FROM holdfast.validate_workflow_graph('nothing');

-- Every state with its step, its status, the steps that are open, and where it may go.
SELECT s.state, holdfast.get_step_from_state(s.state) AS step, holdfast.get_status_from_state(s.state) AS status,
       (SELECT string_agg(CASE WHEN holdfast.can_access_step(s.state, n) THEN n::text ELSE '-' END, ' ' ORDER BY n) FROM generate_series(1, 7) n) AS open_steps,
       (SELECT string_agg(t.to_state, ' ' ORDER BY t.to_state) FROM holdfast.workflow_transitions t WHERE t.graph = 'intent' AND t.from_state = s.state) AS next
FROM holdfast.workflow_states s WHERE s.graph = 'intent' ORDER BY s.step, s.state;
SELECT holdfast.can_access_step('COMPLETED', n) AS open FROM unnest('{-1,0,8}'::integer[]) n;
SELECT holdfast.get_step_from_state('NOWHERE');
SELECT holdfast.get_status_from_state('CREATED', 'nothing');
SELECT holdfast.can_access_step(NULL, 1);

-- A graph of another shape: a queue that workers take from at once, a loop of revisions, two ends.
BEGIN;
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state, kind) VALUES
    ('render', 'queued', 'drawing', 'claim'), ('render', 'drawing', 'review', 'forward'), ('render', 'drawing', 'broken', 'failure'),
    ('render', 'broken', 'queued', 'retry'), ('render', 'review', 'queued', 'forward'), ('render', 'review', 'published', 'forward'),
    ('render', 'review', 'rejected', 'cancel');
INSERT INTO holdfast.workflow_states (graph, state, step, status, is_initial, is_terminal, lease_ttl, attempts) VALUES
    ('render', 'queued', 1, 'pending', true, false, NULL, 1), ('render', 'drawing', 1, 'processing', false, false, '30 seconds', 2),
    ('render', 'broken', 1, 'failed', false, false, NULL, 1), ('render', 'review', 2, 'waiting', false, false, NULL, 1),
    ('render', 'published', 3, 'completed', false, true, NULL, 1), ('render', 'rejected', NULL, 'cancelled', false, true, NULL, 1);
COMMIT;
SELECT * FROM holdfast.validate_workflow_graph('render');
SELECT holdfast.get_step_from_state('review', 'render'), holdfast.get_status_from_state('review', 'render'), holdfast.can_access_step('review', 3, 'render');
INSERT INTO holdfast.intent_workflows (id, organization_id, graph) VALUES ('96a00000-0000-0000-0000-0000000000a1', :org, 'render') RETURNING id AS drawing, state \gset
SELECT graph, state, fence FROM holdfast.intent_workflows WHERE id = :'drawing';
SELECT state, step, attempt FROM holdfast.claim_workflow_step(:org, 'pen', p_graph => 'render');
SELECT * FROM holdfast.advance_workflow(:'drawing', :org, 'drawing', 'review', 'pen');
SELECT * FROM holdfast.advance_workflow(:'drawing', :org, 'review', 'CANCELLED');

-- Every fault is named with its state.
INSERT INTO holdfast.workflow_states (graph, state, step, status, is_initial, is_terminal, lease_ttl) VALUES
    ('faulty', 'start', 1, 'pending', true, false, '1 minute'), ('faulty', 'other_start', 1, 'pending', true, false, NULL),
    ('faulty', 'island', 2, 'pending', false, false, NULL), ('faulty', 'trap', NULL, 'pending', false, false, NULL),
    ('faulty', 'round', 3, 'pending', false, false, NULL), ('faulty', 'about', 3, 'pending', false, false, NULL),
    ('faulty', 'done', NULL, 'completed', false, true, NULL), ('headless', 'alone', 1, 'completed', false, true, NULL);
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state, kind) VALUES
    ('faulty', 'start', 'trap', 'forward'), ('faulty', 'start', 'round', 'claim'), ('faulty', 'round', 'about', 'forward'),
    ('faulty', 'about', 'round', 'forward'), ('faulty', 'other_start', 'done', 'forward'), ('faulty', 'done', 'start', 'forward'),
    ('faulty', 'island', 'done', 'forward'), ('faulty', 'start', 'elsewhere', 'forward');
SELECT state, fault, detail FROM holdfast.validate_workflow_graph('faulty');
SELECT graph, state, fault FROM holdfast.validate_workflow_graph() WHERE graph <> 'faulty';
SELECT holdfast.create_workflow(:org, p_graph => 'faulty');
SELECT holdfast.create_workflow(:org, p_graph => 'nothing');
INSERT INTO holdfast.workflow_states (graph, state, step, status) VALUES ('Bad name', 'x', 1, 'pending');
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state, kind) VALUES ('faulty', 'start', 'done', 'claim');
DELETE FROM holdfast.workflow_transitions WHERE graph = 'faulty';
DELETE FROM holdfast.workflow_states WHERE graph IN ('faulty', 'headless');
SELECT * FROM holdfast.validate_workflow_graph();

-- What the built-in graph has stays; more can be added to it.
DELETE FROM holdfast.workflow_transitions WHERE graph = 'intent' AND from_state = 'CREATED';
UPDATE holdfast.workflow_states SET step = 2 WHERE graph = 'intent' AND state = 'CREATED';
INSERT INTO holdfast.workflow_states (graph, state, step, status, shipped) VALUES ('intent', 'PAUSED', 1, 'waiting', true);
TRUNCATE holdfast.workflow_transitions;
SET session_replication_role = replica;
DELETE FROM holdfast.workflow_states WHERE graph = 'intent';
RESET session_replication_role;

-- A graph in use: no change makes it invalid or strands a workflow, whoever makes it and however.
INSERT INTO holdfast.workflow_states (graph, state, step, status) VALUES ('render', 'limbo', 2, 'waiting');
DELETE FROM holdfast.workflow_transitions WHERE graph = 'render' AND to_state = 'published';
DELETE FROM holdfast.workflow_transitions WHERE graph = 'render' AND kind = 'failure';
UPDATE holdfast.workflow_states SET state = 'checking' WHERE graph = 'render' AND state = 'review';
SET session_replication_role = replica;
DELETE FROM holdfast.workflow_states WHERE graph = 'render' AND state = 'review';
RESET session_replication_role;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state) VALUES ('render', 'queued', 'rejected');
DELETE FROM holdfast.workflow_transitions WHERE graph = 'render' AND from_state = 'review';
ROLLBACK;
-- Renamed with all that names it, the state is gone all the same for the workflow that is in it.
BEGIN;
UPDATE holdfast.workflow_states SET state = 'checking' WHERE graph = 'render' AND state = 'review';
UPDATE holdfast.workflow_transitions SET from_state = 'checking' WHERE graph = 'render' AND from_state = 'review';
UPDATE holdfast.workflow_transitions SET to_state = 'checking' WHERE graph = 'render' AND to_state = 'review';
SELECT * FROM holdfast.validate_workflow_graph('render');
COMMIT;
-- Deleting it all and making it anew in one transaction is a change of it, too.
BEGIN;
DELETE FROM holdfast.workflow_states WHERE graph = 'render';
DELETE FROM holdfast.workflow_transitions WHERE graph = 'render';
INSERT INTO holdfast.workflow_states (graph, state, step, status, is_initial) VALUES ('render', 'review', 1, 'waiting', true);
COMMIT;
-- Nor is it a new graph any more once the same transaction has begun a workflow on it.
BEGIN;
INSERT INTO holdfast.workflow_states (graph, state, step, status, is_initial, is_terminal) VALUES
    ('hasty', 'begun', 1, 'pending', true, false), ('hasty', 'ended', 1, 'completed', false, true);
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state) VALUES ('hasty', 'begun', 'ended');
SELECT holdfast.create_workflow(:org, p_graph => 'hasty') IS NOT NULL AS made;
INSERT INTO holdfast.workflow_states (graph, state, step, status) VALUES ('hasty', 'limbo', 1, 'waiting');
COMMIT;
-- Work is not changed under a workflow that waits for it.
SELECT state FROM holdfast.advance_workflow(:'drawing', :org, 'review', 'queued');
UPDATE holdfast.workflow_transitions SET kind = 'forward' WHERE graph = 'render' AND kind = 'claim';
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ;
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state) VALUES ('render', 'queued', 'rejected');
COMMIT;
-- A change that leaves it valid is made, and counts at once.
SELECT state FROM holdfast.advance_workflow(:'drawing', :org, 'queued', 'rejected');
INSERT INTO holdfast.workflow_transitions (graph, from_state, to_state) VALUES ('render', 'queued', 'rejected');
SELECT state, step, status, fence FROM holdfast.advance_workflow(:'drawing', :org, 'queued', 'rejected');
SELECT * FROM holdfast.check_invariants();
