-- The built-in graph `intent`: from an idea to a published article, in seven steps.
INSERT INTO workflow_states (graph, state, step, status, is_initial, is_terminal, lease_ttl, attempts, shipped)
SELECT 'intent', s.state, s.step, lower(substring(s.state FROM '[A-Z]+$')), s.state = 'CREATED',
       s.state IN ('COMPLETED', 'CANCELLED'), CASE WHEN s.state LIKE '%\_PROCESSING' THEN interval '2 minutes' END,
       CASE WHEN s.state LIKE '%\_PROCESSING' THEN 3 ELSE 1 END, true
FROM (VALUES
    ('CREATED', 1), ('ICP_PENDING', 1), ('ICP_PROCESSING', 1), ('ICP_FAILED', 1),
    ('ICP_COMPLETED', 2), ('COMPETITOR_PENDING', 2), ('COMPETITOR_PROCESSING', 2), ('COMPETITOR_FAILED', 2),
    ('COMPETITOR_COMPLETED', 3), ('SEED_REVIEW_PENDING', 3), ('SEED_REVIEW_COMPLETED', 3),
    ('CLUSTERING_PENDING', 3), ('CLUSTERING_PROCESSING', 3), ('CLUSTERING_FAILED', 3),
    ('CLUSTERING_COMPLETED', 4), ('VALIDATION_PENDING', 4), ('VALIDATION_PROCESSING', 4),
    ('VALIDATION_COMPLETED', 5), ('VALIDATION_FAILED', 5), ('ARTICLE_PENDING', 5), ('ARTICLE_PROCESSING', 5),
    ('ARTICLE_COMPLETED', 6), ('ARTICLE_FAILED', 6), ('PUBLISH_PENDING', 6), ('PUBLISH_PROCESSING', 6),
    ('PUBLISH_COMPLETED', 7), ('PUBLISH_FAILED', 7), ('COMPLETED', 7), ('CANCELLED', NULL)) s(state, step);

INSERT INTO workflow_transitions (graph, from_state, to_state, kind, shipped)
-- From stage to stage.
SELECT 'intent', t.from_state, t.to_state, 'forward', true
FROM (VALUES ('CREATED', 'ICP_PENDING'), ('ICP_COMPLETED', 'COMPETITOR_PENDING'),
             ('COMPETITOR_COMPLETED', 'SEED_REVIEW_PENDING'), ('SEED_REVIEW_PENDING', 'SEED_REVIEW_COMPLETED'),
             ('SEED_REVIEW_COMPLETED', 'CLUSTERING_PENDING'), ('CLUSTERING_COMPLETED', 'VALIDATION_PENDING'),
             ('VALIDATION_COMPLETED', 'ARTICLE_PENDING'), ('ARTICLE_COMPLETED', 'PUBLISH_PENDING'),
             ('PUBLISH_COMPLETED', 'COMPLETED')) t(from_state, to_state)
UNION ALL
-- Within a stage that is work.
SELECT 'intent', stage || t.from_state, stage || t.to_state, t.kind, true
FROM unnest('{ICP,COMPETITOR,CLUSTERING,VALIDATION,ARTICLE,PUBLISH}'::text[]) stage,
     (VALUES ('_PENDING', '_PROCESSING', 'claim'), ('_PROCESSING', '_COMPLETED', 'forward'),
             ('_PROCESSING', '_FAILED', 'failure'), ('_FAILED', '_PENDING', 'retry')) t(from_state, to_state, kind)
UNION ALL
SELECT 'intent', s.state, 'CANCELLED', 'cancel', true
FROM workflow_states s WHERE s.graph = 'intent' AND NOT s.is_terminal;
