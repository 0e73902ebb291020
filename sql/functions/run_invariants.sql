-- What must hold of runs and of batches of them.

CREATE FUNCTION run_attempts_figures(p_is_full boolean, p_after bigint)
    RETURNS TABLE (organization_id uuid, run_id uuid, charged numeric, least_drawn numeric, most_drawn numeric, overrun numeric)
    LANGUAGE sql STABLE AS $$
    WITH looked_at AS (
        SELECT r.organization_id, r.run_id FROM holdfast.workflow_runs r WHERE p_is_full OR r.ended_at IS NULL
        UNION
        SELECT a.organization_id, a.run_id FROM holdfast.workflow_run_attempts a
        JOIN holdfast.ai_usage_ledger l ON l.organization_id = a.organization_id AND l.id = a.hold_id
        WHERE l.seq > p_after
    )
    SELECT t.organization_id, t.run_id, coalesce(sum(l.cost), 0),
           -- What a hold that had run out was settled for is still drawn in full, and one that another released until its attempt ends.
           coalesce(sum(CASE WHEN l.id IS NOT NULL THEN least(l.cost, a.amount) WHEN h.status <> 'released' THEN a.amount END), 0),
           coalesce(sum(CASE WHEN l.id IS NOT NULL THEN greatest(l.cost, a.amount) WHEN h.status <> 'released' OR a.ended_at IS NULL THEN a.amount END), 0),
           coalesce(sum(greatest(l.cost - a.amount, 0)), 0)
    FROM looked_at t
    LEFT JOIN holdfast.workflow_run_attempts a ON a.organization_id = t.organization_id AND a.run_id = t.run_id
    LEFT JOIN holdfast.holds h ON h.organization_id = a.organization_id AND h.hold_id = a.hold_id
    LEFT JOIN holdfast.ai_usage_ledger l ON l.organization_id = a.organization_id AND l.id = a.hold_id
    GROUP BY 1, 2
$$;
COMMENT ON FUNCTION run_attempts_figures(boolean, bigint) IS
'Of each run that goes on or was charged by entries with a seq above p_after (p_is_full: of all), in USD: what the ledger has of its attempts, between what bounds they can have drawn on its hold, and by how much they cost more than was held for them.';

CREATE FUNCTION run_faults(p_is_full boolean, p_after bigint)
    RETURNS TABLE (invariant text, organization_id uuid, subject text, expected numeric, actual numeric)
    LANGUAGE sql STABLE AS $$
    SELECT v.invariant, r.organization_id, 'run ' || r.run_id, v.expected, v.actual
    FROM holdfast.run_attempts_figures(p_is_full, p_after) f
    JOIN holdfast.workflow_runs r ON r.organization_id = f.organization_id AND r.run_id = f.run_id
    LEFT JOIN holdfast.holds h
      ON h.organization_id = r.organization_id AND h.hold_id = r.hold_id AND h.status = 'open' AND h.expires_at > clock_timestamp(),
    LATERAL (VALUES
        ('a run costs what its ledger entries do', f.charged, r.total_cost, r.total_cost <> f.charged),
        ('a run has drawn what its attempts hold or cost', CASE WHEN r.drawn < f.least_drawn THEN f.least_drawn ELSE f.most_drawn END,
         r.drawn, r.drawn NOT BETWEEN f.least_drawn AND f.most_drawn),
        ('the hold of a run holds what it has not drawn', r.max_cost - r.drawn + f.overrun, h.amount,
         r.ended_at IS NULL AND h.amount <> r.max_cost - r.drawn + f.overrun))
        v(invariant, expected, actual, is_violated)
    WHERE v.is_violated
    UNION ALL
    SELECT 'what has ended holds nothing', h.organization_id, e.subject, 0, h.amount
    FROM holdfast.holds h
    JOIN (SELECT r.organization_id, r.run_id AS id, 'run ' || r.run_id AS subject FROM holdfast.workflow_runs r
          WHERE r.ended_at IS NOT NULL AND NOT r.rest_is_due
          UNION ALL
          SELECT b.organization_id, b.batch_id, 'batch ' || b.batch_id FROM holdfast.workflow_run_batches b
          WHERE b.ended_at IS NOT NULL) e ON e.organization_id = h.organization_id AND e.id = h.hold_id
    WHERE h.status = 'open' AND h.expires_at > clock_timestamp()
    UNION ALL
    SELECT 'the hold of a batch holds what its runs have not', b.organization_id, 'batch ' || b.batch_id,
           b.max_cost - r.taken, h.amount
    FROM holdfast.workflow_run_batches b
    JOIN holdfast.holds h ON h.organization_id = b.organization_id AND h.hold_id = b.batch_id,
    LATERAL (SELECT coalesce(sum(r.max_cost - coalesce(r.rest, 0)), 0) AS taken FROM holdfast.workflow_runs r
             WHERE r.organization_id = b.organization_id AND r.batch_id = b.batch_id) r
    WHERE b.ended_at IS NULL AND h.status = 'open' AND h.expires_at > clock_timestamp() AND h.amount <> b.max_cost - r.taken
$$;
COMMENT ON FUNCTION run_faults(boolean, bigint) IS
'Runs whose figures are not those of their attempts'' holds and ledger entries, and holds that do not fit their run or batch, in USD. Runs that have ended are looked at when entries with a seq above p_after belong to them, or all of them (p_is_full).';
