-- What must hold at any moment, and a function that says where it does not.

CREATE FUNCTION period_start_of(p_period text, p_day date) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_period
        WHEN 'none' THEN pg_catalog.date '-infinity'
        WHEN 'day' THEN p_day
        ELSE pg_catalog.date_trunc(p_period, p_day::timestamp)::pg_catalog.date END
$$;
COMMENT ON FUNCTION period_start_of(text, date) IS
'The first day of the period (none, day, week from Monday, month) that p_day lies in; -infinity for none.';

CREATE FUNCTION ledger_by_counter(p_after bigint, p_upto bigint, p_only uuid[] DEFAULT NULL)
    RETURNS TABLE (organization_id uuid, budget_id uuid, period_start date, spent numeric, last_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH days AS (
        SELECT l.organization_id, l.workflow_id, l.user_id, l.api_key_id, l.community_id, l.provider, l.tool,
               (l.created_at AT TIME ZONE 'UTC')::date AS day, sum(l.cost) AS spent, max(l.created_at) AS last_at
        FROM holdfast.ai_usage_ledger l WHERE l.seq > p_after AND l.seq <= p_upto
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), subjects AS (
        SELECT d.organization_id, s.scope, s.subject, d.day, d.spent, d.last_at
        FROM days d, LATERAL (VALUES ('workflow', d.workflow_id::text), ('user', d.user_id),
            ('api_key', d.api_key_id::text), ('community', d.community_id::text), ('provider', d.provider),
            ('tool', d.tool), ('organization', '')) s(scope, subject)
        WHERE s.subject IS NOT NULL
    )
    SELECT d.organization_id, d.workflow_id, date '-infinity', sum(d.spent), max(d.last_at)
    FROM days d WHERE d.workflow_id IS NOT NULL AND p_only IS NULL GROUP BY 1, 2
    UNION ALL
    SELECT d.organization_id, d.organization_id, holdfast.period_start_of('month', d.day), sum(d.spent), max(d.last_at)
    FROM days d WHERE p_only IS NULL GROUP BY 1, 2, 3
    UNION ALL
    SELECT b.organization_id, b.budget_id, holdfast.period_start_of(b.period, s.day), sum(s.spent), max(s.last_at)
    FROM subjects s JOIN holdfast.budgets b USING (organization_id, scope, subject)
    WHERE b.budget_id <> b.organization_id AND (p_only IS NULL OR b.budget_id = ANY (p_only))
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT a.organization_id, a.budget_id, date '-infinity', sum(l.cost), max(l.created_at)
    FROM holdfast.ai_usage_ledger l,
         LATERAL (VALUES ('user:' || l.user_id), ('community:' || l.community_id::text)) s(account),
         holdfast.credit_accounts a
    WHERE a.organization_id = l.organization_id AND a.account = s.account AND l.seq > a.from_seq
      AND l.seq > p_after AND l.seq <= p_upto AND (p_only IS NULL OR a.budget_id = ANY (p_only))
    GROUP BY 1, 2
$$;
COMMENT ON FUNCTION ledger_by_counter(bigint, bigint, uuid[]) IS
'What the ledger entries with a seq above p_after and up to p_upto add up to for each counter that they move, in USD; with p_only for the counters of these budgets alone. Counted anew from the entries: of a workflow, of the organization''s month, of every budget whose subject an entry names, and of credit accounts.';

-- Every counter with all that it is held against: its entries, its open holds, its budget, its workflow.
CREATE FUNCTION counter_figures(p_is_full boolean, p_after bigint, p_new uuid[])
    RETURNS TABLE (organization_id uuid, budget_id uuid, period_start date, scope text, subject text, slots bigint,
                   limits bigint, limit_usd numeric, spent numeric, held numeric, overrun numeric,
                   entry_sum numeric, hold_sum numeric, run_out numeric, has_owner boolean, must_be boolean,
                   budget_limit numeric, is_current boolean, credits numeric)
    LANGUAGE sql STABLE AS $$
    WITH counters AS (
        SELECT c.organization_id, c.budget_id, c.period_start, min(c.scope) AS scope, count(*) AS slots,
               count(c.limit_usd) AS limits, sum(c.limit_usd) AS limit_usd, sum(c.spent) AS spent, sum(c.held) AS held,
               sum(c.overrun) AS overrun
        FROM holdfast.budget_counters c GROUP BY 1, 2, 3
    ), entries AS (
        SELECT e.organization_id, e.budget_id, e.period_start, sum(e.spent) AS entry_sum, max(e.last_at) AS last_at
        FROM (SELECT s.organization_id, s.budget_id, s.period_start, s.spent, s.last_at
              FROM holdfast.checked_sums s WHERE NOT p_is_full
              UNION ALL SELECT * FROM holdfast.ledger_by_counter(p_after, 9223372036854775807)
              UNION ALL SELECT * FROM holdfast.ledger_by_counter(0, p_after, p_new) WHERE p_new <> '{}') e
        GROUP BY 1, 2, 3
    ), reserved AS (
        SELECT h.organization_id, u.budget_id, u.period_start, sum(h.amount) AS hold_sum,
               coalesce(sum(h.amount) FILTER (WHERE h.expires_at <= clock_timestamp()), 0) AS run_out
        FROM holdfast.holds h, unnest(h.budget_ids, h.period_starts) AS u(budget_id, period_start)
        WHERE h.status = 'open' GROUP BY 1, 2, 3
    )
    SELECT k.organization_id, k.budget_id, k.period_start, k.scope,
           coalesce(k.scope, b.scope, CASE WHEN k.budget_id = k.organization_id THEN 'organization'
                                           WHEN w.id IS NULL THEN 'budget' ELSE 'workflow' END)
               || CASE WHEN b.subject <> '' THEN ' ' || b.subject || ', budget ' ELSE ' ' END || k.budget_id
               || CASE WHEN isfinite(k.period_start) THEN ' from ' || to_char(k.period_start, 'YYYY-MM-DD') ELSE '' END,
           k.slots, k.limits, k.limit_usd, k.spent, k.held, k.overrun,
           coalesce(k.entry_sum, 0), coalesce(k.hold_sum, 0), coalesce(k.run_out, 0),
           coalesce(b.scope, CASE WHEN k.budget_id = k.organization_id THEN 'organization'
                                  WHEN w.id IS NOT NULL THEN 'workflow' END) IS NOT DISTINCT FROM k.scope,
           k.hold_sum IS NOT NULL OR k.last_at > coalesce(b.created_at, '-infinity')
               OR k.last_at IS NOT NULL AND k.budget_id = k.organization_id,
           b.limit_usd,
           coalesce(k.period_start = holdfast.period_start_of(b.period, (now() AT TIME ZONE 'UTC')::date), false),
           CASE WHEN a.account IS NOT NULL THEN
               (SELECT coalesce(sum(g.credits), 0) FROM holdfast.credit_grants g
                WHERE g.organization_id = a.organization_id AND g.account = a.account) - coalesce(k.entry_sum, 0) * 100
           END
    FROM (SELECT * FROM counters FULL JOIN entries USING (organization_id, budget_id, period_start)
                                 FULL JOIN reserved USING (organization_id, budget_id, period_start)) k
    LEFT JOIN holdfast.budgets b ON b.organization_id = k.organization_id AND b.budget_id = k.budget_id
    LEFT JOIN holdfast.credit_accounts a ON a.organization_id = k.organization_id AND a.budget_id = k.budget_id
    LEFT JOIN holdfast.workflows w ON w.organization_id = k.organization_id AND w.id = k.budget_id
    -- A budget made while the check was beginning is left to the next one.
    WHERE p_is_full OR b.budget_id IS NULL OR b.budget_id = b.organization_id OR b.budget_id = ANY (p_new)
       OR EXISTS (SELECT FROM holdfast.checked_budgets s
                  WHERE s.organization_id = b.organization_id AND s.budget_id = b.budget_id)
$$;
COMMENT ON FUNCTION counter_figures(boolean, bigint, uuid[]) IS
'Every counter (its slots added up, USD) beside what it must agree with: its ledger entries, its open holds, its budget or workflow. Entries up to p_after are taken from checked_sums, except for the budgets in p_new; p_is_full takes nothing from there. must_be: even where no counter is, there ought to be one.';

CREATE FUNCTION ledger_references(p_after bigint)
    RETURNS TABLE (invariant text, organization_id uuid, subject text, expected numeric, actual numeric)
    LANGUAGE sql STABLE AS $$
    SELECT 'a correction points at an entry', r.organization_id, 'entry ' || r.id, NULL::numeric, r.cost
    FROM holdfast.ai_usage_ledger r
    WHERE r.seq > p_after AND (r.corrects IS NOT NULL OR r.kind = 'refund') AND NOT EXISTS (
        SELECT FROM holdfast.ai_usage_ledger l WHERE l.organization_id = r.organization_id AND l.id = r.corrects)
    UNION ALL
    SELECT 'refunds take back no more than was charged', l.organization_id, 'entry ' || l.id, l.cost, -sum(r.cost)
    FROM holdfast.ai_usage_ledger r
    JOIN holdfast.ai_usage_ledger l ON l.organization_id = r.organization_id AND l.id = r.corrects
    WHERE r.kind = 'refund' AND r.seq > p_after
    GROUP BY l.organization_id, l.id, l.cost HAVING -sum(r.cost) > l.cost
    UNION ALL
    SELECT 'a hold names counters that exist', h.organization_id, 'hold ' || h.hold_id, h.amount, NULL
    FROM holdfast.holds h
    WHERE (h.status = 'open' OR p_after = 0) AND (
        cardinality(h.period_starts) <> cardinality(h.budget_ids)
        OR cardinality(h.slots) NOT IN (0, cardinality(h.budget_ids))
        OR EXISTS (
            SELECT FROM unnest(h.budget_ids, h.period_starts, h.slots) AS u(budget_id, period_start, slot)
            WHERE NOT EXISTS (
                SELECT FROM holdfast.budget_counters c
                WHERE c.organization_id = h.organization_id AND c.budget_id = u.budget_id
                  AND c.period_start = u.period_start AND c.slot = coalesce(u.slot, 0))))
    UNION ALL
    SELECT 'a workflow has a counter', w.organization_id, 'workflow ' || w.id, NULL, NULL
    FROM holdfast.workflows w
    WHERE NOT EXISTS (SELECT FROM holdfast.budget_counters c
                      WHERE c.organization_id = w.organization_id AND c.budget_id = w.id AND c.scope = 'workflow')
$$;
COMMENT ON FUNCTION ledger_references(bigint) IS
'What points at something that is not there: corrections and refunds with a seq above p_after, open holds (with 0: all holds), workflows.';

CREATE FUNCTION workflow_faults(p_is_full boolean)
    RETURNS TABLE (invariant text, organization_id uuid, subject text, expected numeric, actual numeric)
    LANGUAGE sql STABLE AS $$
    WITH states AS (
        SELECT s.graph, s.state, s.is_initial, s.lease_ttl IS NOT NULL OR EXISTS (
                   SELECT FROM holdfast.workflow_transitions t
                   WHERE t.graph = s.graph AND t.from_state = s.state AND t.kind = 'claim') AS is_work
        FROM holdfast.workflow_states s
    ), compared AS (
        -- Joined by equality throughout, so that millions of workflows are hashed and not looked up one by one.
        SELECT w.organization_id, w.id, w.state, w.fence, h.to_state, n.seq AS next_seq, l.fence AS lease_fence,
               CASE WHEN w.fence = 0 THEN s.is_initial ELSE h.to_state = w.state END IS NOT TRUE OR n.seq IS NOT NULL AS is_other,
               s.is_work IS DISTINCT FROM (l.workflow_id IS NOT NULL) OR l.fence <> w.fence OR l.state <> w.state AS is_unheld
        FROM holdfast.workflows w
        LEFT JOIN states s ON s.graph = w.graph AND s.state = w.state
        LEFT JOIN holdfast.workflow_history h ON h.organization_id = w.organization_id AND h.workflow_id = w.id AND h.seq = w.fence
        LEFT JOIN holdfast.workflow_history n ON n.organization_id = w.organization_id AND n.workflow_id = w.id AND n.seq = w.fence + 1
        LEFT JOIN holdfast.workflow_leases l ON l.organization_id = w.organization_id AND l.workflow_id = w.id
    )
    SELECT 'a workflow''s state is the last audited transition''s target', c.organization_id,
           'workflow ' || c.id || ' in state ' || c.state || ', audited ' || coalesce(c.to_state, 'nothing'), c.fence::numeric,
           coalesce(c.next_seq, CASE WHEN c.to_state IS NOT NULL THEN c.fence END)::numeric
    FROM compared c WHERE c.is_other
    UNION ALL
    SELECT 'work that waits or is done has its lease', c.organization_id, 'workflow ' || c.id || ' in state ' || c.state,
           c.fence, c.lease_fence
    FROM compared c WHERE c.is_unheld
    UNION ALL
    SELECT 'the step that a run does ends with the run', b.organization_id, 'run ' || b.run_id || ' of workflow ' || b.workflow_id,
           NULL, NULL
    FROM holdfast.workflow_step_runs b
    LEFT JOIN holdfast.workflow_runs r ON r.organization_id = b.organization_id AND r.run_id = b.run_id
    WHERE b.ended_at IS NULL AND (r.run_id IS NULL OR r.ended_at IS NOT NULL)
    UNION ALL
    SELECT 'the history of a workflow has no gap and no fork', b.organization_id,
           'workflow ' || b.workflow_id || ' from ' || b.from_state || ', audited ' || coalesce(b.last_to, 'nothing'),
           coalesce(b.last_seq, 0) + 1, b.seq
    FROM (SELECT h.organization_id, h.workflow_id, h.seq, h.from_state, lag(h.seq) OVER w AS last_seq, lag(h.to_state) OVER w AS last_to
          FROM holdfast.workflow_history h
          WHERE p_is_full WINDOW w AS (PARTITION BY h.organization_id, h.workflow_id ORDER BY h.seq)) b
    WHERE b.seq <> coalesce(b.last_seq, 0) + 1 OR b.from_state <> b.last_to
$$;
COMMENT ON FUNCTION workflow_faults(boolean) IS
'Workflows whose state is not what their history ends with, or that wait or are worked on without a lease of their fence, or whose step goes on though its run has ended; expected and actual are fences. p_is_full: also histories with a row missing, or that do not begin where the one before ended (numbers of rows).';

CREATE FUNCTION checked_advance(p_is_full boolean, p_after bigint, p_upto bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_budgets uuid[];
BEGIN
    IF p_is_full THEN
        DELETE FROM holdfast.checked_sums;
        DELETE FROM holdfast.checked_budgets;
    END IF;
    new_budgets := holdfast.unchecked_budgets();
    INSERT INTO holdfast.checked_budgets (organization_id, budget_id)
    SELECT b.organization_id, b.budget_id FROM holdfast.budgets b WHERE b.budget_id = ANY (new_budgets)
    ON CONFLICT DO NOTHING;
    INSERT INTO holdfast.checked_sums AS s (organization_id, budget_id, period_start, spent, last_at)
    SELECT e.organization_id, e.budget_id, e.period_start, sum(e.spent), max(e.last_at)
    FROM (SELECT * FROM holdfast.ledger_by_counter(p_after, p_upto)
          UNION ALL SELECT * FROM holdfast.ledger_by_counter(0, p_after, new_budgets) WHERE new_budgets <> '{}') e
    WHERE e.budget_id = e.organization_id
       OR EXISTS (SELECT FROM holdfast.checked_budgets b
                  WHERE b.organization_id = e.organization_id AND b.budget_id = e.budget_id)
       OR NOT EXISTS (SELECT FROM holdfast.budgets b
                      WHERE b.organization_id = e.organization_id AND b.budget_id = e.budget_id)
    GROUP BY 1, 2, 3
    ON CONFLICT (budget_id, organization_id, period_start) DO UPDATE
        SET spent = s.spent + excluded.spent, last_at = greatest(s.last_at, excluded.last_at);
    INSERT INTO holdfast.checked_ledger (seq, checked_at) VALUES (p_upto, clock_timestamp())
    ON CONFLICT (only_row) DO UPDATE SET seq = excluded.seq, checked_at = excluded.checked_at;
END $$;
COMMENT ON FUNCTION checked_advance(boolean, bigint, bigint) IS
'Adds the entries above p_after up to p_upto to checked_sums, and all entries of budgets that are new there; p_is_full makes everything anew.';

CREATE FUNCTION unchecked_budgets() RETURNS uuid[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(b.budget_id), '{}') FROM holdfast.budgets b
    WHERE b.budget_id <> b.organization_id AND NOT EXISTS (
        SELECT FROM holdfast.checked_budgets s
        WHERE s.organization_id = b.organization_id AND s.budget_id = b.budget_id)
$$;
COMMENT ON FUNCTION unchecked_budgets() IS
'The budgets made since the last clean run of check_invariants(). The organization''s own month is none of them: it counts from the first entry on.';

CREATE FUNCTION check_invariants(p_full boolean DEFAULT false, OUT invariant text, OUT organization_id uuid,
                                 OUT subject text, OUT expected numeric, OUT actual numeric)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    can_write CONSTANT boolean := current_setting('transaction_read_only') = 'off';
    is_full boolean := coalesce(p_full, false) OR NOT can_write;
    after bigint;
    upto bigint;
    new_budgets uuid[];
    violations bigint;
BEGIN
    IF can_write THEN
        -- One session checks at a time, for what it has checked is kept.
        PERFORM pg_advisory_xact_lock('holdfast.checked_ledger'::regclass::oid::bigint);
        upto := holdfast.ledger_horizon();
        SELECT c.seq INTO after FROM holdfast.checked_ledger c;
    END IF;
    is_full := is_full OR after IS NULL;
    after := CASE WHEN is_full THEN 0 ELSE after END;
    new_budgets := CASE WHEN is_full THEN '{}' ELSE holdfast.unchecked_budgets() END;
    RETURN QUERY
    SELECT v.invariant, f.organization_id, f.subject, v.expected, v.actual
    FROM holdfast.counter_figures(is_full, after, new_budgets) f, LATERAL (VALUES
        ('what was charged or held has a counter', f.entry_sum + f.hold_sum, NULL,
         f.slots IS NULL AND f.must_be AND f.entry_sum + f.hold_sum <> 0),
        ('a counter belongs to a budget or a workflow', NULL, f.spent + f.held, f.slots > 0 AND NOT f.has_owner),
        ('spent is the sum of the ledger entries', f.entry_sum, f.spent, f.spent <> f.entry_sum),
        ('held is the sum of the open holds', f.hold_sum, f.held, f.held <> f.hold_sum),
        ('spent and held stay below the limit but for recorded overrun', f.limit_usd + f.overrun,
         f.spent + f.held - f.run_out,
         f.limits = f.slots AND f.spent + f.held - f.run_out > f.limit_usd + f.overrun),
        ('the shares of the slots add up to the limit', CASE WHEN f.is_current THEN f.budget_limit END, f.limit_usd,
         f.limits NOT IN (0, f.slots) OR f.is_current AND f.limit_usd IS DISTINCT FROM f.budget_limit),
        ('the credit balance is the sum of the credit ledger', f.credits, (f.limit_usd - f.spent) * 100,
         f.credits IS DISTINCT FROM (f.limit_usd - f.spent) * 100 AND (f.scope = 'credits' OR f.credits IS NOT NULL)))
        v(invariant, expected, actual, is_violated)
    WHERE v.is_violated
    UNION ALL
    SELECT * FROM holdfast.ledger_references(after)
    UNION ALL
    SELECT * FROM holdfast.workflow_faults(is_full)
    UNION ALL
    SELECT * FROM holdfast.run_faults(is_full, after)
    ORDER BY 2, 3, 1;
    GET DIAGNOSTICS violations = ROW_COUNT;
    IF violations = 0 AND can_write AND upto >= after THEN
        PERFORM holdfast.checked_advance(is_full, after, upto);
    END IF;
END $$;
COMMENT ON FUNCTION check_invariants(boolean) IS
'One row for each violation: which invariant, of which organization and subject, with the expected and the actual USD (of a workflow''s history: rows). No row: the books are right. A clean run is remembered (checked_ledger), and the next one adds up only the entries that came after; p_full adds up everything anew and finds damage to old entries too. The first run, and any in a read-only transaction, is full.';
