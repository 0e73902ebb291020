-- advance_workflow() is the only way to change a state, and leaves its row.
\set SHOW_CONTEXT never
\set org '\'5a7e0000-0000-0000-0000-000000000001\''
\set other '\'5a7e0000-0000-0000-0000-000000000002\''
\set id '\'5a7e0000-0000-0000-0000-0000000000a1\''
INSERT INTO holdfast.intent_workflows (id, organization_id, workflow_data) VALUES (:id, :org, '{"topic": "knots", "kept": [1, {"a": null}]}') RETURNING state, fence;
SELECT * FROM holdfast.advance_workflow(:id, :org, 'CREATED', 'ICP_PENDING', 'ann', 'go', p_correlation_id => 'request-1');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_PENDING', 'ICP_PROCESSING', 'worker-1', p_fence => 1);
-- The result and the state in one transaction; what a settlement counts and other keys stay.
SELECT cost FROM holdfast.record_usage_and_increment(:id, :org, 'm', 1, 1, 0.25);
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_PROCESSING', 'ICP_COMPLETED', 'worker-1', 'done',
    '{"icp": {"who": "sailors"}, "topic": "bends", "total_ai_cost": 0}', 2, '{"text": "a long one"}', 'request-2');
SELECT state, fence, workflow_data, total_ai_cost FROM holdfast.intent_workflows WHERE id = :id;
SELECT seq, from_state, to_state, actor, reason, correlation_id, result FROM holdfast.workflow_history WHERE workflow_id = :id ORDER BY seq;

-- Refused: another current state, an illegal transition, an old fence, nonsense; nothing changes.
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_PROCESSING', 'ICP_FAILED');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'PUBLISH_PENDING');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'ICP_COMPLETED');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'NOWHERE');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'COMPETITOR_PENDING', p_fence => 2);
SELECT * FROM holdfast.advance_workflow(:id, :other, 'ICP_COMPLETED', 'COMPETITOR_PENDING');
SELECT * FROM holdfast.advance_workflow('5a7e0000-0000-0000-0000-0000000000ff', :org, 'CREATED', 'ICP_PENDING');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', NULL);
SELECT * FROM holdfast.advance_workflow(:id, NULL, 'ICP_COMPLETED', 'COMPETITOR_PENDING');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'COMPETITOR_PENDING', p_data_patch => '[1]');
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'COMPETITOR_PENDING', p_actor => repeat('x', 256));
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'COMPETITOR_PENDING', p_reason => repeat('x', 4097));
SELECT state, fence FROM holdfast.intent_workflows WHERE id = :id;

-- A direct UPDATE is refused: to the owner, to a superuser, and where ordinary triggers sleep.
\set VERBOSITY terse
UPDATE holdfast.intent_workflows SET state = 'COMPETITOR_PENDING' WHERE id = :id;
UPDATE holdfast.intent_workflows SET fence = 9 WHERE id = :id;
UPDATE holdfast.workflows SET state = 'COMPETITOR_PENDING' WHERE id = :id;
UPDATE holdfast.workflows SET fence = fence + 1 WHERE id = :id;
UPDATE holdfast.workflows SET graph = 'render' WHERE id = :id;
SET session_replication_role = replica;
UPDATE holdfast.workflows SET state = 'COMPETITOR_PENDING' WHERE id = :id;
RESET session_replication_role;
UPDATE holdfast.workflow_history SET actor = 'nobody' WHERE workflow_id = :id;
DELETE FROM holdfast.workflow_history WHERE workflow_id = :id;
TRUNCATE holdfast.workflow_history;

-- When the row of history cannot be written, the state does not change either: a fork, and a full disk.
BEGIN;
INSERT INTO holdfast.workflow_history (organization_id, workflow_id, seq, from_state, to_state, created_at) VALUES (:org, :id, 4, 'ICP_COMPLETED', 'CANCELLED', now());
SAVEPOINT before;
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'COMPETITOR_PENDING');
ROLLBACK TO before;
SELECT state, fence FROM holdfast.intent_workflows WHERE id = :id;
ROLLBACK;
BEGIN;
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room for history'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON holdfast.workflow_history FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SAVEPOINT before;
SELECT * FROM holdfast.advance_workflow(:id, :org, 'ICP_COMPLETED', 'COMPETITOR_PENDING');
ROLLBACK TO before;
SELECT state, fence FROM holdfast.intent_workflows WHERE id = :id;
ROLLBACK;

-- A walk over the whole graph, with a failure and a retry.
CREATE FUNCTION pg_temp.walk(p_id uuid, p_org uuid, p_states text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    walked text := (SELECT w.state FROM holdfast.intent_workflows w WHERE w.id = p_id);
    next text;
BEGIN
    FOREACH next IN ARRAY p_states LOOP
        walked := (SELECT state FROM holdfast.advance_workflow(p_id, p_org, walked, next));
    END LOOP;
    RETURN walked;
END $$;
SELECT pg_temp.walk(:id, :org, '{COMPETITOR_PENDING,COMPETITOR_PROCESSING,COMPETITOR_FAILED,COMPETITOR_PENDING,COMPETITOR_PROCESSING,
    COMPETITOR_COMPLETED,SEED_REVIEW_PENDING,SEED_REVIEW_COMPLETED,CLUSTERING_PENDING,CLUSTERING_PROCESSING,CLUSTERING_COMPLETED,
    VALIDATION_PENDING,VALIDATION_PROCESSING,VALIDATION_COMPLETED,ARTICLE_PENDING,ARTICLE_PROCESSING,ARTICLE_COMPLETED,
    PUBLISH_PENDING,PUBLISH_PROCESSING,PUBLISH_COMPLETED,COMPLETED}');
SELECT state, step, status, fence, open_steps, next_states, total_ai_cost, cost_limit, lease, jsonb_array_length(history) AS rows,
       history -> 0 ->> 'to' AS first, history -> -1 ->> 'to' AS last
FROM holdfast.workflow_overview(:id, :org);
SELECT jsonb_array_length(history) AS rows, history -> 0 ->> 'seq' AS first FROM holdfast.workflow_overview(:id, :org, 2);
SELECT * FROM holdfast.workflow_overview(:id, :other);

-- Terminal is immutable, for everyone. A cost that comes late is recorded all the same.
SELECT * FROM holdfast.advance_workflow(:id, :org, 'COMPLETED', 'CANCELLED');
UPDATE holdfast.intent_workflows SET workflow_data = '{}' WHERE id = :id;
UPDATE holdfast.intent_workflows SET cost_limit = 5 WHERE id = :id;
UPDATE holdfast.workflows SET workflow_data = '{}' WHERE id = :id;
SET session_replication_role = replica;
UPDATE holdfast.workflows SET updated_at = now() WHERE id = :id;
RESET session_replication_role;
SELECT total_ai_cost FROM holdfast.record_usage_and_increment(:id, :org, 'm', 1, 1, 0.125);
SELECT workflow_data FROM holdfast.intent_workflows WHERE id = :id;

-- Many in one statement.
SELECT count(*) AS cancelled, count(DISTINCT a.state) FROM (SELECT holdfast.create_workflow(:org) AS id FROM generate_series(1, 3)) w,
    LATERAL holdfast.advance_workflow(w.id, :org, 'CREATED', 'CANCELLED', 'ann', 'changed my mind') a;

-- A transition without a patch does not rewrite the document, with one it does once.
SELECT holdfast.create_workflow(:org, jsonb_build_object('text', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 20000) n))) AS big \gset
SELECT reltoastrelid::regclass AS toast FROM pg_class WHERE oid = 'holdfast.workflows'::regclass \gset
SELECT count(*) AS chunks FROM :toast \gset
SELECT state FROM holdfast.advance_workflow(:'big', :org, 'CREATED', 'ICP_PENDING');
SELECT count(*) - :chunks AS new_chunks FROM :toast;
SELECT state FROM holdfast.advance_workflow(:'big', :org, 'ICP_PENDING', 'ICP_PROCESSING', p_data_patch => '{"more": 1}');
SELECT length(workflow_data ->> 'text') AS length, workflow_data -> 'more' AS more FROM holdfast.intent_workflows WHERE id = :'big';
SELECT * FROM holdfast.check_invariants(p_full => true);
