-- check_invariants() names every kind of damage. The books here are written by hand, then broken by force.
\set VERBOSITY terse
\set org '\'da3a0000-0000-0000-0000-000000000001\''
\set workflow '\'da3a0000-0000-0000-0000-0000000000a1\''
\set budget '\'da3a0000-0000-0000-0000-0000000000b1\''
\set community '\'da3a0000-0000-0000-0000-0000000000c1\''
\set key '\'da3a0000-0000-0000-0000-0000000000e1\''
SET timezone = 'Asia/Kathmandu';

INSERT INTO holdfast.workflows (id, organization_id) VALUES (:workflow, :org);
INSERT INTO holdfast.budgets (organization_id, budget_id, scope, subject, period, limit_usd, created_at) VALUES
    (:org, :org, 'organization', '', 'month', NULL, '2026-01-01 00:00Z'),
    (:org, 'da3a0000-0000-0000-0000-0000000000b1', 'user', 'ann', 'none', 10, '2026-01-01 00:00Z'),
    (:org, 'da3a0000-0000-0000-0000-0000000000b2', 'api_key', :key, 'day', 10, '2026-01-01 00:00Z'),
    (:org, 'da3a0000-0000-0000-0000-0000000000b3', 'community', :community, 'week', 10, '2026-01-01 00:00Z'),
    (:org, 'da3a0000-0000-0000-0000-0000000000b4', 'provider', 'groq', 'month', 10, '2026-01-01 00:00Z'),
    (:org, 'da3a0000-0000-0000-0000-0000000000b5', 'tool', 'ebook', 'none', 10, '2026-01-01 00:00Z'),
    (:org, 'da3a0000-0000-0000-0000-0000000000b6', 'organization', '', 'day', 10, '2026-01-01 00:00Z');
-- The last minute of a Sunday, of a week and of a January, and the first of the next (UTC).
INSERT INTO holdfast.ai_usage_ledger (id, organization_id, workflow_id, created_at, prompt_tokens, completion_tokens,
    cost, user_id, api_key_id, community_id, provider, tool)
SELECT ('da3a0000-0000-0000-0000-00000000000' || n)::uuid, :org, :workflow, at, 1, 1, cost, 'ann', :key, :community, 'groq', 'ebook'
FROM (VALUES (1, timestamptz '2026-01-31 23:59:59Z', 0.5), (2, '2026-02-01 00:00Z', 0.25),
             (3, '2026-02-01 23:59:59Z', 0.125), (4, '2026-02-02 00:00Z', 1)) e(n, at, cost);
INSERT INTO holdfast.holds (organization_id, hold_id, workflow_id, amount, created_at, expires_at, budget_ids, period_starts, slots)
VALUES (:org, 'da3a0000-0000-0000-0000-0000000000d1', :workflow, 0.5, now(), now() + interval '1 day',
        ARRAY[:workflow, :budget]::uuid[], '{-infinity,-infinity}', '{0,1}'),
       (:org, 'da3a0000-0000-0000-0000-0000000000d2', :workflow, 5, now() - interval '2 days', now() - interval '1 day',
        ARRAY[:workflow]::uuid[], '{-infinity}', '{}');
INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, limit_usd, spent, held, overrun, slot) VALUES
    (:workflow, :org, '-infinity', 'workflow', 2, 1.875, 5.5, 0.375, 0),
    (:org, :org, '2026-01-01', 'organization', NULL, 0.5, 0, 0, 0),
    (:org, :org, '2026-02-01', 'organization', NULL, 1.25, 0, 0, 0),
    (:org, :org, '2026-02-01', 'organization', NULL, 0.125, 0, 0, 7),
    (:budget, :org, '-infinity', 'user', 4, 1.875, 0, 0, 0),
    (:budget, :org, '-infinity', 'user', 6, 0, 0.5, 0, 1),
    ('da3a0000-0000-0000-0000-0000000000b2', :org, '2026-01-31', 'api_key', 10, 0.5, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b2', :org, '2026-02-01', 'api_key', 10, 0.375, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b2', :org, '2026-02-02', 'api_key', 10, 1, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b3', :org, '2026-01-26', 'community', 10, 0.875, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b3', :org, '2026-02-02', 'community', 10, 1, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b4', :org, '2026-01-01', 'provider', 10, 0.5, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b4', :org, '2026-02-01', 'provider', 10, 1.375, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b5', :org, '-infinity', 'tool', 10, 1.875, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b6', :org, '2026-01-31', 'organization', 10, 0.5, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b6', :org, '2026-02-01', 'organization', 10, 0.375, 0, 0, 0),
    ('da3a0000-0000-0000-0000-0000000000b6', :org, '2026-02-02', 'organization', 10, 1, 0, 0, 0);
-- Ann pays with credits since the third entry.
INSERT INTO holdfast.budgets (organization_id, budget_id, scope, subject, period, limit_usd, created_at)
VALUES (:org, 'da3a0000-0000-0000-0000-0000000000b9', 'credits', 'user:ann', 'none', 5, '2026-01-01 00:00Z');
INSERT INTO holdfast.credit_accounts (organization_id, account, budget_id, from_seq)
SELECT :org, 'user:ann', 'da3a0000-0000-0000-0000-0000000000b9', seq FROM holdfast.ai_usage_ledger WHERE id = 'da3a0000-0000-0000-0000-000000000002';
INSERT INTO holdfast.credit_grants (organization_id, grant_id, account, credits)
SELECT :org, gen_random_uuid(), 'user:ann', credits FROM unnest('{600,-100}'::numeric[]) credits;
INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, limit_usd, spent)
VALUES ('da3a0000-0000-0000-0000-0000000000b9', :org, '-infinity', 'credits', 5, 1.125);
SELECT * FROM holdfast.check_invariants();
-- A clean run is remembered as soon as no other transaction is left that could still add to what it read.
DO $$
BEGIN
    LOOP
        IF EXISTS (SELECT FROM holdfast.check_invariants()) THEN
            RAISE EXCEPTION 'the books are wrong';
        END IF;
        COMMIT;
        EXIT WHEN (SELECT c.seq >= max(l.seq) FROM holdfast.checked_ledger c, holdfast.ai_usage_ledger l GROUP BY c.seq);
    END LOOP;
END $$;
SELECT count(*) AS sums, sum(spent) FROM holdfast.checked_sums WHERE organization_id = :org;

CREATE FUNCTION pg_temp.damage(what text, how text, p_full boolean DEFAULT false)
    RETURNS TABLE (damage text, invariant text, subject text, expected numeric, actual numeric) LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE holdfast.ai_usage_ledger DISABLE TRIGGER append_only;
    ALTER TABLE holdfast.credit_grants DISABLE TRIGGER append_only;
    ALTER TABLE holdfast.workflow_history DISABLE TRIGGER append_only;
    ALTER TABLE holdfast.workflows DISABLE TRIGGER state_by_transition_only;
    EXECUTE how;
    RETURN QUERY SELECT what, c.invariant, c.subject, c.expected, c.actual FROM holdfast.check_invariants(p_full) c;
    IF NOT FOUND THEN
        RETURN QUERY SELECT what, 'nothing found', NULL, NULL::numeric, NULL::numeric;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'HF000';
EXCEPTION WHEN SQLSTATE 'HF000' THEN
    RETURN;
END $$;
SELECT d.* FROM (VALUES
    ('workflow counter', $$UPDATE holdfast.budget_counters SET spent = 2 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('user counter', $$UPDATE holdfast.budget_counters SET spent = spent - 1 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b1' AND slot = 0$$),
    ('api_key counter', $$UPDATE holdfast.budget_counters SET spent = 0.6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b2' AND period_start = '2026-01-31'$$),
    ('community counter', $$UPDATE holdfast.budget_counters SET spent = 0.6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b3' AND period_start = '2026-01-26'$$),
    ('provider counter', $$UPDATE holdfast.budget_counters SET spent = 0.6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b4' AND period_start = '2026-01-01'$$),
    ('tool counter', $$UPDATE holdfast.budget_counters SET spent = 0.6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b5'$$),
    ('organization day', $$UPDATE holdfast.budget_counters SET spent = 0.6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b6' AND period_start = '2026-01-31'$$),
    ('slot of the organization month', $$DELETE FROM holdfast.budget_counters WHERE organization_id = 'da3a0000-0000-0000-0000-000000000001' AND slot = 7$$),
    ('held', $$UPDATE holdfast.budget_counters SET held = 1 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b1' AND slot = 1$$),
    ('hold vanished', $$DELETE FROM holdfast.holds WHERE hold_id = 'da3a0000-0000-0000-0000-0000000000d1'$$),
    ('hold ended by hand', $$UPDATE holdfast.holds SET status = 'settled' WHERE hold_id = 'da3a0000-0000-0000-0000-0000000000d2'$$),
    ('overrun forgotten', $$UPDATE holdfast.budget_counters SET overrun = 0 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('limit lowered without record', $$UPDATE holdfast.budget_counters SET limit_usd = 0.5 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b4' AND period_start = '2026-01-01';
       UPDATE holdfast.budget_counters SET spent = 0.75 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b4' AND period_start = '2026-01-01'$$),
    ('share of a slot', $$UPDATE holdfast.budget_counters SET limit_usd = 5 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b1' AND slot = 1$$),
    ('share of a slot lost', $$UPDATE holdfast.budget_counters SET limit_usd = NULL WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b1' AND slot = 1$$),
    ('limit of a budget', $$UPDATE holdfast.budgets SET limit_usd = 11 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b5'$$),
    ('budget vanished', $$DELETE FROM holdfast.budgets WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b5'$$),
    ('workflow vanished', $$DELETE FROM holdfast.workflows WHERE id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('counter of another scope', $$UPDATE holdfast.budget_counters SET scope = 'tool' WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b6' AND period_start = '2026-01-31'$$),
    ('workflow counter vanished', $$DELETE FROM holdfast.budget_counters WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('budget counter vanished', $$DELETE FROM holdfast.budget_counters WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b3' AND period_start = '2026-01-26'$$),
    ('hold on a slot that is not there', $$UPDATE holdfast.holds SET slots = '{0,5}' WHERE hold_id = 'da3a0000-0000-0000-0000-0000000000d1'$$),
    ('hold with lists of two lengths', $$UPDATE holdfast.holds SET slots = '{0,1,0}' WHERE hold_id = 'da3a0000-0000-0000-0000-0000000000d1'$$),
    ('entry slipped in', $$INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, prompt_tokens, completion_tokens, cost, user_id)
       VALUES ('da3a0000-0000-0000-0000-000000000009', 'da3a0000-0000-0000-0000-000000000001', '2026-02-03 00:00Z', 1, 1, 0.0625, 'ann')$$),
    ('credits spent', $$UPDATE holdfast.budget_counters SET spent = 1 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b9'$$),
    ('credits raised', $$UPDATE holdfast.budget_counters SET limit_usd = 6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b9';
       UPDATE holdfast.budgets SET limit_usd = 6 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b9'$$),
    ('credits granted by hand', $$INSERT INTO holdfast.credit_grants (organization_id, grant_id, account, credits)
       VALUES ('da3a0000-0000-0000-0000-000000000001', gen_random_uuid(), 'user:ann', 1)$$),
    ('grant deleted', $$DELETE FROM holdfast.credit_grants WHERE account = 'user:ann' AND credits < 0$$),
    ('refund of nothing', $$INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, prompt_tokens, completion_tokens, cost, kind, corrects)
       VALUES ('da3a0000-0000-0000-0000-000000000009', 'da3a0000-0000-0000-0000-000000000001', '2026-01-03 00:00Z', 0, 0, 0, 'refund', gen_random_uuid())$$),
    ('refund of more than was charged', $$INSERT INTO holdfast.ai_usage_ledger (id, organization_id, created_at, prompt_tokens, completion_tokens, cost, kind, corrects)
       VALUES ('da3a0000-0000-0000-0000-000000000009', 'da3a0000-0000-0000-0000-000000000001', '2026-01-03 00:00Z', 0, 0, -0.75, 'refund', 'da3a0000-0000-0000-0000-000000000001')$$)
    ) c(what, how), LATERAL pg_temp.damage(c.what, c.how) d;

-- The same for a workflow that moves.
SELECT state FROM holdfast.advance_workflow(:workflow, :org, 'CREATED', 'ICP_PENDING');
SELECT state FROM holdfast.advance_workflow(:workflow, :org, 'ICP_PENDING', 'ICP_PROCESSING', 'worker');
SELECT * FROM holdfast.check_invariants(p_full => true);
SELECT d.* FROM (VALUES
    ('state set by force', $$UPDATE holdfast.workflows SET state = 'ICP_COMPLETED' WHERE id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('fence set by force', $$UPDATE holdfast.workflows SET fence = 1 WHERE id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('last transition deleted', $$DELETE FROM holdfast.workflow_history WHERE workflow_id = 'da3a0000-0000-0000-0000-0000000000a1' AND seq = 2$$),
    ('last transition altered', $$UPDATE holdfast.workflow_history SET to_state = 'CANCELLED' WHERE workflow_id = 'da3a0000-0000-0000-0000-0000000000a1' AND seq = 2$$),
    ('transition slipped in', $$INSERT INTO holdfast.workflow_history (organization_id, workflow_id, seq, from_state, to_state, created_at)
       VALUES ('da3a0000-0000-0000-0000-000000000001', 'da3a0000-0000-0000-0000-0000000000a1', 3, 'ICP_PROCESSING', 'ICP_COMPLETED', now())$$),
    ('workflow made in the middle', $$INSERT INTO holdfast.workflows (id, organization_id, state) VALUES ('da3a0000-0000-0000-0000-0000000000a2', 'da3a0000-0000-0000-0000-000000000001', 'COMPLETED');
       INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope) VALUES ('da3a0000-0000-0000-0000-0000000000a2', 'da3a0000-0000-0000-0000-000000000001', '-infinity', 'workflow')$$),
    ('lease vanished', $$DELETE FROM holdfast.workflow_leases WHERE workflow_id = 'da3a0000-0000-0000-0000-0000000000a1'$$),
    ('lease of another fence', $$UPDATE holdfast.workflow_leases SET fence = 1 WHERE workflow_id = 'da3a0000-0000-0000-0000-0000000000a1'$$)
    ) c(what, how), LATERAL pg_temp.damage(c.what, c.how) d;
SELECT d.* FROM (VALUES
    ('old transition deleted', $$DELETE FROM holdfast.workflow_history WHERE workflow_id = 'da3a0000-0000-0000-0000-0000000000a1' AND seq = 1$$),
    ('old transition altered', $$UPDATE holdfast.workflow_history SET to_state = 'CANCELLED' WHERE workflow_id = 'da3a0000-0000-0000-0000-0000000000a1' AND seq = 1$$)
    ) c(what, how), unnest('{false,true}'::boolean[]) p_full, LATERAL pg_temp.damage(c.what || CASE WHEN p_full THEN ', full run' ELSE '' END, c.how, p_full) d;

-- What was checked before is not added up again: damage there is found by a full run.
SELECT d.* FROM (VALUES
    ('old entry altered', $$UPDATE holdfast.ai_usage_ledger SET cost = 0.75 WHERE id = 'da3a0000-0000-0000-0000-000000000001'$$),
    ('old entry deleted', $$DELETE FROM holdfast.ai_usage_ledger WHERE id = 'da3a0000-0000-0000-0000-000000000004'$$),
    ('old entry given to another user', $$UPDATE holdfast.ai_usage_ledger SET user_id = 'bob' WHERE id = 'da3a0000-0000-0000-0000-000000000004'$$),
    ('counter and checkpoint altered alike', $$UPDATE holdfast.budget_counters SET spent = 1 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b5';
       UPDATE holdfast.checked_sums SET spent = 1 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b5'$$)
    ) c(what, how), unnest('{false,true}'::boolean[]) p_full, LATERAL pg_temp.damage(c.what || CASE WHEN p_full THEN ', full run' ELSE '' END, c.how, p_full) d;

-- A budget that is made later counts what its period has seen, and is checked for all of it.
BEGIN;
INSERT INTO holdfast.budgets (organization_id, budget_id, scope, subject, period, created_at)
VALUES (:org, 'da3a0000-0000-0000-0000-0000000000b7', 'user', 'ann', 'month', '2026-02-02 12:00Z');
SELECT * FROM holdfast.check_invariants();
INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, spent)
VALUES ('da3a0000-0000-0000-0000-0000000000b7', :org, '2026-02-01', 'user', 1.375);
SELECT * FROM holdfast.check_invariants();
UPDATE holdfast.budget_counters SET spent = 1 WHERE budget_id = 'da3a0000-0000-0000-0000-0000000000b7';
SELECT * FROM holdfast.check_invariants();
ROLLBACK;

-- In a read-only transaction every run is full and nothing is remembered.
BEGIN READ ONLY;
SELECT * FROM holdfast.check_invariants();
ROLLBACK;
