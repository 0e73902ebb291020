-- A hold is found by its key, however many the organization has open: their index looks cheaper while statistics are old.
\set VERBOSITY terse
\set org '\'b0000000-0000-0000-0000-000000000018\''
SELECT count(*) FROM generate_series(1, 500) n, LATERAL holdfast.hold_workflow_cost(NULL, :org, 0.01, p_idempotency_key => md5('held' || n)::uuid, p_provider => 'openai') h WHERE h.granted;
CREATE TABLE held AS SELECT hold_id, row_number() OVER () AS n FROM holdfast.holds WHERE organization_id = :org;
BEGIN;
SELECT count(s.cost) AS settled FROM held, LATERAL holdfast.settle_call(:org, hold_id, 'gpt-4o-mini', 10, 10) s WHERE n <= 20;
SELECT count(*) AS released FROM held WHERE n BETWEEN 21 AND 40 AND holdfast.release_call(:org, hold_id);
SELECT count(holdfast.extend_hold(hold_id, :org, interval '1 hour')) AS extended FROM held WHERE n BETWEEN 41 AND 60;
-- Else it is some 30,000.
SELECT idx_tup_fetch + seq_tup_read < 1000 AS by_their_keys FROM pg_stat_xact_user_tables WHERE relid = 'holdfast.holds'::regclass;
COMMIT;
SELECT count(*) AS released FROM held WHERE n > 40 AND holdfast.release_call(:org, hold_id);
DROP TABLE held;
SELECT * FROM holdfast.check_invariants() WHERE organization_id = :org;
