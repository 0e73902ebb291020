-- Budgets as data: what an administrator sets and sees.

CREATE FUNCTION period_start(p_period text, p_moment timestamptz DEFAULT now()) RETURNS date
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_period = 'none' THEN date '-infinity'
                WHEN p_period IN ('day', 'week', 'month') THEN date_trunc(p_period, p_moment AT TIME ZONE 'UTC')::date END
$$;
COMMENT ON FUNCTION period_start(text, timestamptz) IS
'The first day (UTC) of the day, week or month of a moment; -infinity for period none, NULL for no period.';

CREATE FUNCTION check_limit(p_name text, p_limit numeric) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_limit < 0 OR p_limit > 1000000000000000 OR scale(p_limit) > 18 OR p_limit = 'NaN' THEN
        RAISE EXCEPTION '% of % USD cannot be kept.', p_name, p_limit
            USING ERRCODE = 'PT400', DETAIL = jsonb_build_object('field', p_name, 'value', p_limit::text),
                  HINT = 'Give 0 to 1000000000000000 USD with at most 18 decimals, or NULL for none.';
    END IF;
END $$;
COMMENT ON FUNCTION check_limit(text, numeric) IS 'Raises PT400 unless the amount can be a limit in USD.';

CREATE FUNCTION check_budget_subject(p_organization_id uuid, p_scope text, p_subject text, p_period text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_organization_id IS NULL THEN
        RAISE EXCEPTION 'p_organization_id is NULL.' USING ERRCODE = 'PT400';
    ELSIF p_scope IS NULL OR p_scope NOT IN ('workflow', 'user', 'api_key', 'community', 'provider', 'tool', 'organization') THEN
        RAISE EXCEPTION 'There is no budget scope "%".', p_scope
            USING ERRCODE = 'PT400', HINT = 'Scopes are organization, user, api_key, community, provider, tool and workflow.';
    ELSIF p_period IS NULL OR p_period NOT IN ('none', 'day', 'week', 'month') THEN
        RAISE EXCEPTION 'There is no budget period "%".', p_period
            USING ERRCODE = 'PT400', HINT = 'Periods are none, day, week and month.';
    ELSIF (p_scope = 'organization') <> (p_subject = '') OR p_subject IS NULL OR octet_length(p_subject) > 255 THEN
        RAISE EXCEPTION 'A budget of scope % cannot have the subject "%".', p_scope, left(p_subject, 60)
            USING ERRCODE = 'PT400', HINT = 'Name the user, key, community, provider, tool or workflow; nothing for the organization.';
    ELSIF p_scope = 'workflow' AND p_subject = '*' THEN
        RAISE EXCEPTION 'Workflows have no budget by default.'
            USING ERRCODE = 'PT400', HINT = 'A workflow has its own cost_limit; name one workflow.';
    ELSIF p_scope IN ('workflow', 'api_key', 'community') AND p_subject <> '*'
          AND p_subject !~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
        RAISE EXCEPTION 'The subject "%" of a budget of scope % is no uuid in lower case.', left(p_subject, 60), p_scope
            USING ERRCODE = 'PT400';
    END IF;
END $$;
COMMENT ON FUNCTION check_budget_subject(uuid, text, text, text) IS 'Raises PT400 unless a budget can be for this subject and period.';

CREATE FUNCTION spent_in_period(p_organization_id uuid, p_scope text, p_subject text, p_period text) RETURNS numeric
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(sum(l.cost), 0) FROM holdfast.ai_usage_ledger l
    WHERE l.organization_id = p_organization_id
      AND l.created_at >= (holdfast.period_start(p_period)::timestamp AT TIME ZONE 'UTC')
      AND CASE p_scope WHEN 'organization' THEN true
                       WHEN 'workflow' THEN l.workflow_id::text = p_subject
                       WHEN 'user' THEN l.user_id = p_subject
                       WHEN 'api_key' THEN l.api_key_id::text = p_subject
                       WHEN 'community' THEN l.community_id::text = p_subject
                       WHEN 'provider' THEN l.provider = p_subject
                       WHEN 'tool' THEN l.tool = p_subject END
$$;
COMMENT ON FUNCTION spent_in_period(uuid, text, text, text) IS
'USD in the ledger for a budget''s subject in the period that runs now.';

CREATE FUNCTION share_out_limit(p_organization_id uuid, p_budget_id uuid, p_period text, p_limit_usd numeric) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    -- Where a counter has slots, calls count in 1 and up: each gets the same room below its share, slot 0 the rest. When
    -- nothing is left their shares are out of reach. A limit below what is spent and held already is no overrun of a
    -- settlement: it is recorded as one.
    WITH sums AS (
        SELECT c.period_start, count(*) - 1 AS slots, sum(c.overrun) AS overrun, sum(c.spent + c.held) AS used
        FROM holdfast.budget_counters c
        WHERE c.budget_id = p_budget_id AND c.organization_id = p_organization_id
          AND c.period_start >= holdfast.period_start(p_period)
        GROUP BY c.period_start
    ), shares AS (
        SELECT c.period_start, c.slot,
               CASE WHEN p_limit_usd < s.used THEN -1000000000000000
                    ELSE c.spent + c.held + trunc((p_limit_usd - s.used) / nullif(s.slots, 0), 18) END AS share
        FROM holdfast.budget_counters c JOIN sums s USING (period_start)
        WHERE c.budget_id = p_budget_id AND c.organization_id = p_organization_id AND c.slot > 0
    )
    UPDATE holdfast.budget_counters c SET
        limit_usd = CASE WHEN p_limit_usd IS NULL THEN NULL
                         WHEN c.slot > 0 THEN (SELECT h.share FROM shares h
                                               WHERE h.period_start = c.period_start AND h.slot = c.slot)
                         ELSE p_limit_usd - coalesce((SELECT sum(h.share) FROM shares h
                                                      WHERE h.period_start = c.period_start), 0) END,
        overrun = c.overrun + CASE WHEN c.slot = 0 THEN greatest(0, s.used - p_limit_usd - s.overrun) ELSE 0 END
    FROM sums s
    WHERE c.budget_id = p_budget_id AND c.organization_id = p_organization_id AND c.period_start = s.period_start
$$;
COMMENT ON FUNCTION share_out_limit(uuid, uuid, text, numeric) IS
'Gives the counters of a budget, from its running period on, a new limit (NULL: none). The caller has locked the organization.';

CREATE FUNCTION check_budget_figures(p_limit_usd numeric, p_soft_limit_usd numeric, p_downgrade_at_usd numeric,
                                     p_downgrade_model text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.check_limit('p_limit_usd', p_limit_usd), holdfast.check_limit('p_soft_limit_usd', p_soft_limit_usd),
            holdfast.check_limit('p_downgrade_at_usd', p_downgrade_at_usd);
    IF (p_downgrade_at_usd IS NULL) <> (p_downgrade_model IS NULL) OR octet_length(p_downgrade_model) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'A downgrade needs both the threshold and the model.'
            USING ERRCODE = 'PT400', HINT = 'Give p_downgrade_at_usd and p_downgrade_model, or neither.';
    END IF;
END $$;
COMMENT ON FUNCTION check_budget_figures(numeric, numeric, numeric, text) IS
'Raises PT400 unless these can be the figures of a budget.';

CREATE FUNCTION put_budget(p_organization_id uuid, p_scope text, p_subject text, p_period text, p_limit_usd numeric,
                           p_soft_limit_usd numeric, p_downgrade_at_usd numeric, p_downgrade_model text, p_source text)
    RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id uuid;
BEGIN
    INSERT INTO holdfast.budgets AS b (organization_id, budget_id, scope, subject, period, limit_usd, soft_limit_usd,
                                       downgrade_at_usd, downgrade_model, source)
    VALUES (p_organization_id,
            CASE WHEN p_scope = 'organization' AND p_period = 'month' THEN p_organization_id ELSE gen_random_uuid() END,
            p_scope, p_subject, p_period, p_limit_usd, p_soft_limit_usd, p_downgrade_at_usd, p_downgrade_model, p_source)
    ON CONFLICT (organization_id, scope, subject, period) DO UPDATE SET
        limit_usd = excluded.limit_usd, soft_limit_usd = excluded.soft_limit_usd, source = excluded.source,
        downgrade_at_usd = excluded.downgrade_at_usd, downgrade_model = excluded.downgrade_model, updated_at = now()
    RETURNING b.budget_id INTO id;
    -- A new budget begins with what its period has already seen; the organization's month is counted in any case.
    IF id <> p_organization_id THEN
        INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, spent)
        SELECT id, p_organization_id, holdfast.period_start(p_period), p_scope,
               holdfast.spent_in_period(p_organization_id, p_scope, p_subject, p_period)
        WHERE NOT EXISTS (SELECT FROM holdfast.budget_counters c WHERE c.budget_id = id AND c.organization_id = p_organization_id);
    END IF;
    PERFORM holdfast.share_out_limit(p_organization_id, id, p_period, p_limit_usd);
    RETURN id;
END $$;
COMMENT ON FUNCTION put_budget(uuid, text, text, text, numeric, numeric, numeric, text, text) IS
'Makes or changes one budget and returns its id. The caller has locked the organization.';

CREATE FUNCTION set_budget(p_organization_id uuid, p_limit_usd numeric, p_scope text DEFAULT 'organization',
                           p_subject text DEFAULT '', p_period text DEFAULT 'month', p_soft_limit_usd numeric DEFAULT NULL,
                           p_downgrade_at_usd numeric DEFAULT NULL, p_downgrade_model text DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.check_budget_subject(p_organization_id, p_scope, p_subject, p_period);
    PERFORM holdfast.require_organization(p_organization_id);
    PERFORM holdfast.check_budget_figures(p_limit_usd, p_soft_limit_usd, p_downgrade_at_usd, p_downgrade_model);
    PERFORM holdfast.lock_organization(p_organization_id);
    IF p_subject = '*' THEN
        PERFORM holdfast.put_default(p_organization_id, p_scope, p_period, p_limit_usd, p_soft_limit_usd, p_downgrade_at_usd,
                                     p_downgrade_model, 'own');
        RETURN NULL;
    END IF;
    RETURN holdfast.put_budget(p_organization_id, p_scope, p_subject, p_period, p_limit_usd, p_soft_limit_usd,
                               p_downgrade_at_usd, p_downgrade_model, 'own');
END $$;
COMMENT ON FUNCTION set_budget(uuid, numeric, text, text, text, numeric, numeric, text) IS
'Sets a budget and returns its id: p_limit_usd refuses holds beyond it (NULL: counts only), p_soft_limit_usd warns, from p_downgrade_at_usd on calls go to p_downgrade_model. p_scope is organization, user, api_key, community, provider, tool or workflow, p_subject whom of these, or * for each user, key, community, provider or tool that has none of its own (then NULL is returned); p_period none, day, week or month (UTC). A new budget counts what its period has already seen. It goes before what the organization''s plan says; remove_budget() takes it back. A workflow''s cost_limit is set on intent_workflows. Raises PT400, PT403.';

CREATE FUNCTION get_budgets(p_organization_id uuid,
                            OUT budget_id uuid, OUT scope text, OUT subject text, OUT period text, OUT period_start date,
                            OUT limit_usd numeric, OUT soft_limit_usd numeric, OUT downgrade_at_usd numeric,
                            OUT downgrade_model text, OUT spent numeric, OUT held numeric, OUT remaining numeric,
                            OUT status text, OUT source text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.budget_id, b.scope, b.subject, b.period, holdfast.period_start(b.period), b.limit_usd, b.soft_limit_usd,
           b.downgrade_at_usd, b.downgrade_model, trim_scale(u.spent), trim_scale(u.held),
           trim_scale(b.limit_usd - u.spent - u.held),
           CASE WHEN u.spent + u.held >= b.limit_usd THEN 'exhausted'
                WHEN u.spent + u.held >= b.downgrade_at_usd THEN 'downgrade'
                WHEN u.spent + u.held >= b.soft_limit_usd THEN 'warning' ELSE 'ok' END, b.source
    FROM holdfast.budgets b, LATERAL (
        SELECT coalesce(sum(c.spent), 0) AS spent,
               coalesce(sum(c.held), 0) - (
                   SELECT coalesce(sum(h.amount), 0) FROM holdfast.holds h, unnest(h.budget_ids, h.period_starts) AS p(id, start)
                   WHERE h.organization_id = b.organization_id AND h.status = 'open' AND h.expires_at <= clock_timestamp()
                     AND p.id = b.budget_id AND p.start = holdfast.period_start(b.period)) AS held
        FROM holdfast.budget_counters c
        WHERE c.budget_id = b.budget_id AND c.organization_id = b.organization_id
          AND c.period_start = holdfast.period_start(b.period)) u
    WHERE b.organization_id = p_organization_id AND holdfast.require_organization(p_organization_id)
    ORDER BY b.scope, b.subject, b.period
$$;
COMMENT ON FUNCTION get_budgets(uuid) IS
'The organization''s budgets with what is spent and held of them (USD) in the period that runs; status is ok, warning, downgrade or exhausted; source who gave the figures: own, plan or default. Raises PT403.';
