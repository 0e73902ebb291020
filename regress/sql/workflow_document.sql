-- Workflows: a document beside a cost that only settlements move.
\set VERBOSITY terse
\set org '\'c0000000-0000-0000-0000-000000000001\''
\set id '\'c0000000-0000-0000-0000-0000000000a1\''
INSERT INTO holdfast.intent_workflows (id, organization_id, workflow_data) VALUES (:id, :org, '{"topic": "knots"}')
RETURNING id, organization_id, graph, state, workflow_data, cost_limit, total_ai_cost, held_cost;
INSERT INTO holdfast.intent_workflows (organization_id, cost_limit) VALUES (:org, 2.50) RETURNING cost_limit, workflow_data;
INSERT INTO holdfast.intent_workflows (id, organization_id) VALUES (:id, :org);

-- The document changes as the caller likes; the total is not the caller's to set.
SELECT cost FROM holdfast.record_usage_and_increment(:id, :org, 'm', 1, 1, 0.25);
UPDATE holdfast.intent_workflows SET workflow_data = workflow_data || '{"audience": "sailors", "total_ai_cost": 0}' WHERE id = :id;
SELECT workflow_data, total_ai_cost FROM holdfast.intent_workflows WHERE id = :id;
UPDATE holdfast.intent_workflows SET cost_limit = 0.30 WHERE id = :id RETURNING cost_limit;
SELECT granted, limit_usd FROM holdfast.hold_workflow_cost(:id, :org, 0.06);
UPDATE holdfast.intent_workflows SET cost_limit = 0.10 WHERE id = :id RETURNING cost_limit;
SELECT * FROM holdfast.check_invariants();

-- Refused, by everyone and also where ordinary triggers sleep.
UPDATE holdfast.intent_workflows SET state = 'COMPLETED' WHERE id = :id;
UPDATE holdfast.intent_workflows SET total_ai_cost = 0 WHERE id = :id;
UPDATE holdfast.intent_workflows SET organization_id = gen_random_uuid() WHERE id = :id;
UPDATE holdfast.intent_workflows SET workflow_data = '[]' WHERE id = :id;
UPDATE holdfast.intent_workflows SET cost_limit = -1 WHERE id = :id;
DELETE FROM holdfast.intent_workflows WHERE id = :id;
UPDATE holdfast.workflows SET state = 'COMPLETED' WHERE id = :id;
SET session_replication_role = replica;
UPDATE holdfast.workflows SET state = 'COMPLETED' WHERE id = :id;
RESET session_replication_role;
INSERT INTO holdfast.intent_workflows (organization_id, state) VALUES (:org, 'COMPLETED');
INSERT INTO holdfast.intent_workflows (organization_id, graph) VALUES (:org, 'mine');
INSERT INTO holdfast.intent_workflows (workflow_data) VALUES ('{}');
SELECT holdfast.create_workflow(:org, '[]');
SELECT holdfast.create_workflow(:org, p_graph => 'mine');
SELECT holdfast.create_workflow(:org, p_cost_limit => 'NaN');
SELECT holdfast.create_workflow(:org, p_cost_limit => -0.01);
SELECT holdfast.create_workflow(NULL);
SELECT state, workflow_data FROM holdfast.intent_workflows WHERE organization_id = :org ORDER BY cost_limit;

-- A settlement does not rewrite the document: no new version of the row that keeps it.
SELECT holdfast.create_workflow(:org, jsonb_build_object('text', repeat('knot ', 200000))) AS big \gset
SELECT xmin AS version FROM holdfast.workflows WHERE id = :'big' \gset
SELECT cost FROM holdfast.record_usage_and_increment(:'big', :org, 'm', 1, 1, 0.25);
SELECT xmin = :'version'::xid AS untouched FROM holdfast.workflows WHERE id = :'big';
SELECT length(workflow_data ->> 'text') AS length, workflow_data -> 'total_ai_cost' AS total
FROM holdfast.intent_workflows WHERE id = :'big';
