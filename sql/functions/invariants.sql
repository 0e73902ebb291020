-- What must hold at any moment, and a function that says where it does not.

CREATE FUNCTION check_invariants(OUT invariant text, OUT organization_id uuid, OUT subject text,
                                 OUT expected numeric, OUT actual numeric)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH entries AS (
        SELECT l.workflow_id AS budget_id, l.organization_id, date '-infinity' AS period_start, sum(l.cost) AS cost
        FROM holdfast.ai_usage_ledger l WHERE l.workflow_id IS NOT NULL GROUP BY 1, 2
        UNION ALL
        SELECT l.organization_id, l.organization_id,
               date_trunc('month', l.created_at AT TIME ZONE 'UTC')::date, sum(l.cost)
        FROM holdfast.ai_usage_ledger l GROUP BY 1, 2, 3
    ), open_holds AS (
        SELECT h.organization_id, u.budget_id, u.period_start, sum(h.amount) AS amount,
               coalesce(sum(h.amount) FILTER (WHERE h.expires_at <= clock_timestamp()), 0) AS run_out
        FROM holdfast.holds h, unnest(h.budget_ids, h.period_starts) AS u(budget_id, period_start)
        WHERE h.status = 'open' GROUP BY 1, 2, 3
    ), counters AS (
        SELECT c.scope, c.budget_id, c.organization_id, c.period_start, c.spent, c.held, c.limit_usd, c.overrun,
               coalesce(e.cost, 0) AS entry_sum, coalesce(h.amount, 0) AS hold_sum, coalesce(h.run_out, 0) AS run_out,
               CASE WHEN c.counter_missing THEN 'missing counter of ' ELSE '' END || coalesce(c.scope, 'budget') || ' '
                   || c.budget_id || CASE WHEN isfinite(c.period_start) THEN ' from ' || c.period_start ELSE '' END AS subject
        FROM (SELECT b.scope, b.spent, b.held, b.limit_usd, b.overrun, b.budget_id IS NULL AS counter_missing,
                     coalesce(b.budget_id, k.budget_id) AS budget_id,
                     coalesce(b.organization_id, k.organization_id) AS organization_id,
                     coalesce(b.period_start, k.period_start) AS period_start
              FROM holdfast.budget_counters b
              FULL JOIN (SELECT e.budget_id, e.organization_id, e.period_start FROM entries e
                         UNION SELECT o.budget_id, o.organization_id, o.period_start FROM open_holds o) k
                USING (budget_id, organization_id, period_start)) c
        LEFT JOIN entries e USING (budget_id, organization_id, period_start)
        LEFT JOIN open_holds h USING (budget_id, organization_id, period_start)
    )
    SELECT 'spent is the sum of the ledger entries', c.organization_id, c.subject, c.entry_sum, c.spent
    FROM counters c WHERE c.spent IS DISTINCT FROM c.entry_sum
    UNION ALL
    SELECT 'held is the sum of the open holds', c.organization_id, c.subject, c.hold_sum, c.held
    FROM counters c WHERE c.held IS DISTINCT FROM c.hold_sum
    UNION ALL
    SELECT 'spent and held stay below the limit but for recorded overrun', c.organization_id, c.subject,
           c.limit_usd + c.overrun, c.spent + c.held - c.run_out
    FROM counters c WHERE c.spent + c.held - c.run_out > c.limit_usd + c.overrun
$$;
COMMENT ON FUNCTION check_invariants() IS
'One row for each violation: which invariant, of which organization and subject, with the expected and the actual USD. No row: the books are right.';
