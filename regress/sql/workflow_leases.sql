-- Work is claimed, kept by heartbeats, taken over when they stop, and failed when nobody goes on.
\set SHOW_CONTEXT never
\set org '\'1ea50000-0000-0000-0000-000000000001\''
\set other '\'1ea50000-0000-0000-0000-000000000002\''
\set one '\'1ea50000-0000-0000-0000-0000000000a1\''
\set two '\'1ea50000-0000-0000-0000-0000000000a2\''
INSERT INTO holdfast.intent_workflows (id, organization_id) VALUES (:one, :org), (:two, :org);
-- The clock of a lease is set forward: as if so much time had passed.
CREATE FUNCTION pg_temp.wait(p_workflow uuid, p_time interval) RETURNS void LANGUAGE sql AS $$
    UPDATE holdfast.workflow_leases SET due_at = due_at - p_time, fails_at = fails_at - p_time WHERE workflow_id = p_workflow
$$;
SELECT count(*) FROM holdfast.claim_workflow_step(:org, 'w1'); -- nothing waits
SELECT state FROM holdfast.advance_workflow(:one, :org, 'CREATED', 'ICP_PENDING');
SELECT state FROM holdfast.advance_workflow(:two, :org, 'CREATED', 'ICP_PENDING');
SELECT count(*) FROM holdfast.claim_workflow_step(:other, 'w1');
SELECT count(*) FROM holdfast.claim_workflow_step(:org, 'w1', p_states => '{ARTICLE_PROCESSING}');
-- The oldest first, once, and in the state where it is worked on.
SELECT workflow_id, state, step, fence, attempt, expires_at > now() + interval '100 seconds' AS for_two_minutes
FROM holdfast.claim_workflow_step(:org, 'w1', p_states => '{ICP_PROCESSING}', p_correlation_id => 'c1');
SELECT workflow_id, fence, attempt FROM holdfast.claim_workflow_step(:org, 'w2', 5, p_ttl => '10 minutes');
SELECT count(*) FROM holdfast.claim_workflow_step(:org, 'w3', 5);

-- Heartbeats of many leases in one statement; those that are lost are told.
SELECT workflow_id, fence, alive, expires_at > now() + interval '50 minutes' AS for_an_hour
FROM holdfast.heartbeat(:org, jsonb_build_array(jsonb_build_object('workflow_id', :one, 'fence', 2), jsonb_build_object('workflow_id', :two, 'fence', 1),
    jsonb_build_object('workflow_id', :two, 'fence', 2)), '1 hour');
SELECT workflow_id, alive FROM holdfast.heartbeat(:other, jsonb_build_array(jsonb_build_object('workflow_id', :one, 'fence', 2)));
SELECT count(*) FROM holdfast.heartbeat(:org, '[]');
-- A lease that was kept is not reaped nor taken over; nor is one that has attempts left and just ran out reaped.
SELECT holdfast.reap_workflow_leases();
SELECT count(pg_temp.wait(:one, '61 minutes'));
SELECT holdfast.reap_workflow_leases();

-- w1 is dead: w3 takes its work over. What w1 writes late is refused, and its heartbeat tells it.
SELECT workflow_id, state, fence, attempt FROM holdfast.claim_workflow_step(:org, 'w3', 5);
SELECT state FROM holdfast.advance_workflow(:one, :org, 'ICP_PROCESSING', 'ICP_COMPLETED', 'w1', p_data_patch => '{"by": "a zombie"}', p_fence => 2);
SELECT alive FROM holdfast.heartbeat(:org, jsonb_build_array(jsonb_build_object('workflow_id', :one, 'fence', 2)));
SELECT state, workflow_data FROM holdfast.intent_workflows WHERE id = :one;
-- After the attempts allowed it fails at once; the dead worker's late write is refused again.
SELECT count(pg_temp.wait(:one, '2 hours'));
SELECT attempt, fence FROM holdfast.claim_workflow_step(:org, 'w4', p_ttl => '1 minute');
SELECT count(pg_temp.wait(:one, '61 seconds'));
SELECT count(*) FROM holdfast.claim_workflow_step(:org, 'w5');
SELECT lease - 'expiresAt' AS lease FROM holdfast.workflow_overview(:one, :org);
SELECT holdfast.reap_workflow_leases();
SELECT state FROM holdfast.advance_workflow(:one, :org, 'ICP_PROCESSING', 'ICP_COMPLETED', 'w4', p_fence => 4);
SELECT seq, from_state, to_state, actor, reason, correlation_id FROM holdfast.workflow_history WHERE workflow_id = :one ORDER BY seq;
-- A retry begins at the first attempt again. Who goes to work without claiming has a lease too.
SELECT state, fence FROM holdfast.advance_workflow(:one, :org, 'ICP_FAILED', 'ICP_PENDING', 'ann');
SELECT state, fence FROM holdfast.advance_workflow(:one, :org, 'ICP_PENDING', 'ICP_PROCESSING', 'gateway-1');
SELECT lease - 'expiresAt' AS lease FROM holdfast.workflow_overview(:one, :org);
-- Nobody takes it over for as long again: nothing stays stuck.
SELECT count(pg_temp.wait(:one, '121 seconds'));
SELECT holdfast.reap_workflow_leases();
SELECT count(pg_temp.wait(:one, '120 seconds'));
SELECT holdfast.reap_workflow_leases();
SELECT state FROM holdfast.intent_workflows WHERE id = :one;
-- A worker that only was slow, and whom nobody replaced, ends its work.
SELECT count(pg_temp.wait(:two, '2 hours'));
SELECT state, fence FROM holdfast.advance_workflow(:two, :org, 'ICP_PROCESSING', 'ICP_COMPLETED', 'w2', p_fence => 2);
SELECT count(*) AS leases FROM holdfast.workflow_leases WHERE organization_id = :org;

\set VERBOSITY terse
SELECT * FROM holdfast.claim_workflow_step(NULL, 'w');
SELECT * FROM holdfast.claim_workflow_step(:org, '');
SELECT * FROM holdfast.claim_workflow_step(:org, 'w', 0);
SELECT * FROM holdfast.claim_workflow_step(:org, 'w', p_graph => 'nothing');
SELECT * FROM holdfast.claim_workflow_step(:org, 'w', p_ttl => '1 month');
SELECT * FROM holdfast.heartbeat(:org, '{}');
SELECT * FROM holdfast.heartbeat(:org, '[{"workflow_id": "x", "fence": 1}]');
SELECT * FROM holdfast.heartbeat(:org, '[1]');
SELECT * FROM holdfast.heartbeat(:org, '[]', '1 microsecond');
SELECT holdfast.reap_workflow_leases(0);
SELECT * FROM holdfast.check_invariants(p_full => true);
