-- Plans give organizations their budgets; defaults give them to every user, key, community, provider or tool.
-- Locks, in this order: organization_plans (ROW EXCLUSIVE for one organization, SHARE ROW EXCLUSIVE for a whole plan), then
-- organizations by id, then what put_budget() locks. Calls lock none of the tables here.

CREATE FUNCTION budget_defaults_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- No row: it is the statement that tells every server process to look budgets up anew.
    UPDATE holdfast.budgets SET limit_usd = limit_usd WHERE false;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION budget_defaults_changed() IS 'Trigger: tells every server process to look budgets up anew.';

CREATE TRIGGER tell_every_process AFTER INSERT OR UPDATE OR DELETE ON budget_defaults
    FOR EACH STATEMENT EXECUTE FUNCTION budget_defaults_changed();
ALTER TABLE budget_defaults ENABLE ALWAYS TRIGGER tell_every_process;

CREATE FUNCTION spent_by_subject(p_organization_id uuid, p_scope text, p_period text)
    RETURNS TABLE (subject text, spent numeric)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.subject, sum(s.cost)
    FROM (SELECT CASE p_scope WHEN 'user' THEN l.user_id WHEN 'api_key' THEN l.api_key_id::text
                              WHEN 'community' THEN l.community_id::text WHEN 'provider' THEN l.provider
                              WHEN 'tool' THEN l.tool END AS subject, l.cost
          FROM holdfast.ai_usage_ledger l
          WHERE l.organization_id = p_organization_id
            AND l.created_at >= (holdfast.period_start(p_period)::timestamp AT TIME ZONE 'UTC')) s
    WHERE s.subject IS NOT NULL AND octet_length(s.subject) <= 255 GROUP BY s.subject
$$;
COMMENT ON FUNCTION spent_by_subject(uuid, text, text) IS
'USD in the ledger for each subject of a scope in the period that runs now.';

CREATE FUNCTION apply_default(p_organization_id uuid, p_scope text, p_period text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    figures holdfast.budget_defaults;
BEGIN
    SELECT d.* INTO figures FROM holdfast.budget_defaults d
    WHERE d.organization_id = p_organization_id AND d.scope = p_scope AND d.period = p_period;
    -- Who has spent in this period begins with that; who comes later begins with nothing, at the first call.
    IF FOUND THEN
        WITH spent AS (
            SELECT s.subject, s.spent FROM holdfast.spent_by_subject(p_organization_id, p_scope, p_period) s
        ), made AS (
            INSERT INTO holdfast.budgets (organization_id, scope, subject, period, source)
            SELECT p_organization_id, p_scope, s.subject, p_period, 'default' FROM spent s
            ON CONFLICT (organization_id, scope, subject, period) DO NOTHING
            RETURNING budget_id, subject
        )
        INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, spent)
        SELECT m.budget_id, p_organization_id, holdfast.period_start(p_period), p_scope, s.spent
        FROM made m JOIN spent s USING (subject);
    END IF;
    UPDATE holdfast.budgets b SET limit_usd = figures.limit_usd, soft_limit_usd = figures.soft_limit_usd,
        downgrade_at_usd = figures.downgrade_at_usd, downgrade_model = figures.downgrade_model, updated_at = now()
    WHERE b.organization_id = p_organization_id AND b.scope = p_scope AND b.period = p_period AND b.source = 'default';
    PERFORM holdfast.share_out_limit(b.organization_id, b.budget_id, b.period, b.limit_usd)
    FROM (SELECT * FROM holdfast.budgets WHERE organization_id = p_organization_id AND scope = p_scope
            AND period = p_period AND source = 'default' ORDER BY budget_id) b;
END $$;
COMMENT ON FUNCTION apply_default(uuid, text, text) IS
'Gives the budgets of a scope and period that nobody set the figures of the organization''s default, or none where there is none any more. The caller has locked the organization.';

CREATE FUNCTION put_default(p_organization_id uuid, p_scope text, p_period text, p_limit_usd numeric,
                            p_soft_limit_usd numeric, p_downgrade_at_usd numeric, p_downgrade_model text, p_source text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO holdfast.budget_defaults (organization_id, scope, period, limit_usd, soft_limit_usd, downgrade_at_usd,
                                          downgrade_model, source)
    VALUES (p_organization_id, p_scope, p_period, p_limit_usd, p_soft_limit_usd, p_downgrade_at_usd, p_downgrade_model, p_source)
    ON CONFLICT (organization_id, scope, period) DO UPDATE SET
        limit_usd = excluded.limit_usd, soft_limit_usd = excluded.soft_limit_usd, source = excluded.source,
        downgrade_at_usd = excluded.downgrade_at_usd, downgrade_model = excluded.downgrade_model;
    PERFORM holdfast.apply_default(p_organization_id, p_scope, p_period);
END $$;
COMMENT ON FUNCTION put_default(uuid, text, text, numeric, numeric, numeric, text, text) IS
'Makes or changes the default of a scope and period. The caller has locked the organization.';

CREATE FUNCTION leave_budget(p_organization_id uuid, p_scope text, p_subject text, p_period text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    figures holdfast.budget_defaults;
BEGIN
    SELECT d.* INTO figures FROM holdfast.budget_defaults d
    WHERE d.organization_id = p_organization_id AND d.scope = p_scope AND d.period = p_period;
    PERFORM holdfast.put_budget(p_organization_id, p_scope, p_subject, p_period, figures.limit_usd, figures.soft_limit_usd,
                                figures.downgrade_at_usd, figures.downgrade_model, 'default');
END $$;
COMMENT ON FUNCTION leave_budget(uuid, text, text, text) IS
'Leaves a budget that nobody sets any more to the default of its scope, or without a limit. The caller has locked the organization.';

CREATE FUNCTION follow_plan(p_organization_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    its_plan text := (SELECT o.plan FROM holdfast.organization_plans o WHERE o.organization_id = p_organization_id);
    known record;
    wanted holdfast.plan_budgets;
BEGIN
    -- What the plan has or had, defaults first: what leaves the plan falls back to them. What is as it should be stays.
    FOR known IN
        SELECT k.scope, k.subject, k.period FROM (
        SELECT d.scope, '*' AS subject, d.period FROM holdfast.budget_defaults d
        WHERE d.organization_id = p_organization_id AND d.source = 'plan'
        UNION SELECT b.scope, b.subject, b.period FROM holdfast.budgets b
        WHERE b.organization_id = p_organization_id AND b.source = 'plan'
        UNION SELECT p.scope, p.subject, p.period FROM holdfast.plan_budgets p WHERE p.plan = its_plan) k
        ORDER BY k.subject <> '*', k.scope, k.subject, k.period
    LOOP
        SELECT p.* INTO wanted FROM holdfast.plan_budgets p
        WHERE p.plan = its_plan AND p.scope = known.scope AND p.subject = known.subject AND p.period = known.period;
        IF known.subject = '*' THEN
            CONTINUE WHEN EXISTS (
                SELECT FROM holdfast.budget_defaults d
                WHERE d.organization_id = p_organization_id AND d.scope = known.scope AND d.period = known.period
                  AND (d.source = 'own' OR wanted.plan IS NOT NULL AND
                       (d.limit_usd, d.soft_limit_usd, d.downgrade_at_usd, d.downgrade_model) IS NOT DISTINCT FROM
                       (wanted.limit_usd, wanted.soft_limit_usd, wanted.downgrade_at_usd, wanted.downgrade_model)));
            IF wanted.plan IS NOT NULL THEN
                PERFORM holdfast.put_default(p_organization_id, known.scope, known.period, wanted.limit_usd, wanted.soft_limit_usd,
                                             wanted.downgrade_at_usd, wanted.downgrade_model, 'plan');
            ELSE
                DELETE FROM holdfast.budget_defaults d
                WHERE d.organization_id = p_organization_id AND d.scope = known.scope AND d.period = known.period;
                PERFORM holdfast.apply_default(p_organization_id, known.scope, known.period);
            END IF;
            CONTINUE;
        END IF;
        CONTINUE WHEN EXISTS (
            SELECT FROM holdfast.budgets b
            WHERE b.organization_id = p_organization_id AND b.scope = known.scope AND b.subject = known.subject
              AND b.period = known.period
              AND (b.source = 'own' OR b.source = 'plan' AND wanted.plan IS NOT NULL AND
                   (b.limit_usd, b.soft_limit_usd, b.downgrade_at_usd, b.downgrade_model) IS NOT DISTINCT FROM
                   (wanted.limit_usd, wanted.soft_limit_usd, wanted.downgrade_at_usd, wanted.downgrade_model)));
        IF wanted.plan IS NOT NULL THEN
            PERFORM holdfast.put_budget(p_organization_id, known.scope, known.subject, known.period, wanted.limit_usd,
                                        wanted.soft_limit_usd, wanted.downgrade_at_usd, wanted.downgrade_model, 'plan');
        ELSE
            PERFORM holdfast.leave_budget(p_organization_id, known.scope, known.subject, known.period);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION follow_plan(uuid) IS
'Makes the organization''s budgets those of its plan, but for what it set itself. The caller has locked the organization and organization_plans.';

CREATE FUNCTION set_organization_plan(p_organization_id uuid, p_plan text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_organization_id IS NULL THEN
        RAISE EXCEPTION 'p_organization_id is NULL.' USING ERRCODE = 'PT400';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    LOCK TABLE holdfast.organization_plans IN ROW EXCLUSIVE MODE;
    IF p_plan IS NOT NULL AND NOT EXISTS (SELECT FROM holdfast.plan_budgets p WHERE p.plan = p_plan) THEN
        RAISE EXCEPTION 'There is no plan "%".', left(p_plan, 60)
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('plan', left(p_plan, 255)),
                  HINT = 'Give the plan its budgets first, with holdfast.set_plan_budget(); NULL for no plan.';
    END IF;
    PERFORM holdfast.lock_organization(p_organization_id);
    DELETE FROM holdfast.organization_plans o WHERE o.organization_id = p_organization_id AND p_plan IS NULL;
    INSERT INTO holdfast.organization_plans (organization_id, plan) SELECT p_organization_id, p_plan WHERE p_plan IS NOT NULL
    ON CONFLICT (organization_id) DO UPDATE SET plan = excluded.plan, set_at = now();
    PERFORM holdfast.follow_plan(p_organization_id);
    RETURN p_plan;
END $$;
COMMENT ON FUNCTION set_organization_plan(uuid, text) IS
'Puts an organization on a plan (NULL: on none) and returns it: its budgets become the plan''s at once, but for those that it set itself. Raises PT400, PT403, PT404 (plan).';

CREATE FUNCTION set_plan_budget(p_plan text, p_limit_usd numeric, p_scope text DEFAULT 'organization',
                                p_subject text DEFAULT '', p_period text DEFAULT 'month', p_soft_limit_usd numeric DEFAULT NULL,
                                p_downgrade_at_usd numeric DEFAULT NULL, p_downgrade_model text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    member uuid;
    members integer := 0;
BEGIN
    IF p_plan IS NULL OR octet_length(p_plan) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'A plan needs a name of 1 to 255 bytes.' USING ERRCODE = 'PT400';
    ELSIF p_scope = 'workflow' OR p_scope IN ('user', 'api_key', 'community') AND p_subject IS DISTINCT FROM '*' THEN
        RAISE EXCEPTION 'A plan has no budget for one % of one organization.', p_scope
            USING ERRCODE = 'PT400', HINT = 'Give p_subject * for each user, api_key or community.';
    END IF;
    PERFORM holdfast.check_budget_subject('00000000-0000-0000-0000-000000000000', p_scope, p_subject, p_period);
    PERFORM holdfast.check_budget_figures(p_limit_usd, p_soft_limit_usd, p_downgrade_at_usd, p_downgrade_model);
    IF holdfast.current_organization() IS NOT NULL THEN
        RAISE EXCEPTION 'A plan is every organization''s.' USING ERRCODE = 'PT403',
            HINT = 'Call without claims of one organization; holdfast.set_budget() sets the budgets of one.';
    END IF;
    LOCK TABLE holdfast.organization_plans IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO holdfast.plan_budgets (plan, scope, subject, period, limit_usd, soft_limit_usd, downgrade_at_usd, downgrade_model)
    VALUES (p_plan, p_scope, p_subject, p_period, p_limit_usd, p_soft_limit_usd, p_downgrade_at_usd, p_downgrade_model)
    ON CONFLICT (plan, scope, subject, period) DO UPDATE SET
        limit_usd = excluded.limit_usd, soft_limit_usd = excluded.soft_limit_usd, updated_at = now(),
        downgrade_at_usd = excluded.downgrade_at_usd, downgrade_model = excluded.downgrade_model;
    FOR member IN SELECT o.organization_id FROM holdfast.organization_plans o WHERE o.plan = p_plan ORDER BY o.organization_id LOOP
        PERFORM holdfast.lock_organization(member);
        PERFORM holdfast.follow_plan(member);
        members := members + 1;
    END LOOP;
    RETURN members;
END $$;
COMMENT ON FUNCTION set_plan_budget(text, numeric, text, text, text, numeric, numeric, text) IS
'Sets one budget of a plan, as set_budget() does for an organization, for all organizations on it in this transaction, and returns how many they are. p_scope is organization, user, api_key, community, provider or tool; p_subject * is each of them, and the only one for users, keys and communities. Each organization''s calls wait while it is changed, until the transaction ends. Raises PT400, PT403 (claims of one organization).';

CREATE FUNCTION remove_budget(p_organization_id uuid, p_scope text DEFAULT 'organization', p_subject text DEFAULT '',
                              p_period text DEFAULT 'month') RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM holdfast.check_budget_subject(p_organization_id, p_scope, p_subject, p_period);
    PERFORM holdfast.require_organization(p_organization_id);
    LOCK TABLE holdfast.organization_plans IN ROW EXCLUSIVE MODE;
    PERFORM holdfast.lock_organization(p_organization_id);
    IF p_subject = '*' THEN
        DELETE FROM holdfast.budget_defaults d
        WHERE d.organization_id = p_organization_id AND d.scope = p_scope AND d.period = p_period AND d.source = 'own';
    ELSE
        UPDATE holdfast.budgets b SET source = 'default'
        WHERE b.organization_id = p_organization_id AND b.scope = p_scope AND b.subject = p_subject AND b.period = p_period
          AND b.source = 'own';
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization has set no such budget.'
            USING ERRCODE = 'PT404', DETAIL = jsonb_build_object('scope', p_scope, 'subject', p_subject, 'period', p_period),
                  HINT = 'holdfast.get_budgets() lists budgets with their source.';
    END IF;
    IF p_subject = '*' THEN
        PERFORM holdfast.apply_default(p_organization_id, p_scope, p_period);
    ELSE
        PERFORM holdfast.leave_budget(p_organization_id, p_scope, p_subject, p_period);
    END IF;
    PERFORM holdfast.follow_plan(p_organization_id);
    RETURN true;
END $$;
COMMENT ON FUNCTION remove_budget(uuid, text, text, text) IS
'Takes back what set_budget() set: the plan''s budget holds again, else the default for every subject, else there is no limit. What was spent stays counted. True. Raises PT400, PT403, PT404 when the organization has set no such budget.';
