-- Prepaid credits: one more scope of every hold of who has an account.

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_grants
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE credit_grants ENABLE ALWAYS TRIGGER append_only;

-- The condition is outside of the UNION ALL: inside, a security barrier does not hold back a caller's cheap function.
CREATE VIEW credit_ledger WITH (security_barrier) AS
    SELECT c.organization_id, c.account, c.entry_id, c.kind, c.credits, c.reason, c.created_at
    FROM (
        SELECT g.organization_id, g.account, g.grant_id AS entry_id, 'grant' AS kind, g.credits, g.reason, g.created_at
        FROM holdfast.credit_grants g
        UNION ALL
        SELECT a.organization_id, a.account, l.id, l.kind::text, trim_scale(l.cost * -100), l.model, l.created_at
        FROM holdfast.credit_accounts a
        JOIN holdfast.ai_usage_ledger l ON l.organization_id = a.organization_id AND l.seq > a.from_seq
         AND a.account IN ('user:' || l.user_id, 'community:' || l.community_id)) c
    WHERE c.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization());
COMMENT ON VIEW credit_ledger IS
'What credits came and went, by account: grants, and each ledger entry of the account''s user or community as a debit (1 credit = 0.01 USD). The sum is the balance.';

CREATE VIEW credit_balances WITH (security_barrier) AS
    SELECT a.organization_id, a.account, trim_scale((c.limit_usd - c.spent) * 100) AS balance,
           trim_scale((c.held - r.run_out) * 100) AS held
    FROM holdfast.credit_accounts a
    JOIN holdfast.budget_counters c ON c.budget_id = a.budget_id AND c.organization_id = a.organization_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(h.amount), 0) AS run_out FROM holdfast.holds h
        WHERE h.organization_id = a.organization_id AND h.status = 'open' AND h.expires_at <= clock_timestamp()
          AND a.budget_id = ANY (h.budget_ids)) r
    WHERE a.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization());
COMMENT ON VIEW credit_balances IS
'Credits left of each account, and how many of them are held for calls that run. A balance falls below zero only by what a settlement cost beyond its hold.';

CREATE FUNCTION open_credit_account(p_organization_id uuid, p_account text) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id uuid;
BEGIN
    SELECT a.budget_id INTO id FROM holdfast.credit_accounts a
    WHERE a.organization_id = p_organization_id AND a.account = p_account;
    IF id IS NULL THEN
        id := gen_random_uuid();
        INSERT INTO holdfast.budgets (organization_id, budget_id, scope, subject, period, limit_usd)
        VALUES (p_organization_id, id, 'credits', p_account, 'none', 0);
        INSERT INTO holdfast.budget_counters (budget_id, organization_id, period_start, scope, limit_usd)
        VALUES (id, p_organization_id, '-infinity', 'credits', 0);
        INSERT INTO holdfast.credit_accounts (organization_id, account, budget_id, from_seq)
        SELECT p_organization_id, p_account, id, s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END
        FROM holdfast.ledger_seq s;
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION open_credit_account(uuid, text) IS
'The budget of a credit account, made at its first grant. The caller has locked the organization.';

CREATE FUNCTION grant_credits(p_organization_id uuid, p_account text, p_credits numeric, p_reason text DEFAULT NULL,
                              p_idempotency_key uuid DEFAULT NULL) RETURNS numeric
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id uuid;
    earlier holdfast.credit_grants;
    left_usd numeric;
    free_usd numeric;
BEGIN
    IF p_organization_id IS NULL OR p_account IS NULL OR p_account !~ '^(user|community):.' OR octet_length(p_account) > 255 THEN
        RAISE EXCEPTION 'There is no credit account "%".', left(p_account, 60)
            USING ERRCODE = 'PT400', HINT = 'Give p_organization_id, and user:<id> or community:<id>.';
    ELSIF p_credits IS NULL OR p_credits = 'NaN' OR abs(p_credits) > 1000000000000 OR scale(p_credits) > 16 THEN
        RAISE EXCEPTION '% credits cannot be granted.', coalesce(p_credits::text, 'NULL')
            USING ERRCODE = 'PT400', HINT = 'Give up to 1000000000000 credits, negative to take some back.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    PERFORM holdfast.lock_organization(p_organization_id);
    SELECT g.* INTO earlier FROM holdfast.credit_grants g
    WHERE g.organization_id = p_organization_id AND g.grant_id = p_idempotency_key;
    IF earlier.grant_id IS NOT NULL AND (earlier.account, earlier.credits) IS DISTINCT FROM (p_account, p_credits) THEN
        RAISE EXCEPTION 'Idempotency key % was used before for another grant.', p_idempotency_key USING ERRCODE = 'PT409';
    END IF;
    id := holdfast.open_credit_account(p_organization_id, p_account);
    -- What has run out and is not swept yet holds nothing.
    SELECT c.limit_usd - c.spent, c.limit_usd - c.spent - c.held + coalesce((
        SELECT sum(h.amount) FROM holdfast.holds h
        WHERE h.organization_id = p_organization_id AND h.status = 'open' AND h.expires_at <= clock_timestamp()
          AND id = ANY (h.budget_ids)), 0)
    INTO left_usd, free_usd FROM holdfast.budget_counters c
    WHERE c.organization_id = p_organization_id AND c.budget_id = id;
    IF earlier.grant_id IS NULL THEN
        IF p_credits < 0 AND free_usd + p_credits * 0.01 < 0 THEN
            RAISE EXCEPTION 'Taking back % credits would leave the account below zero.', -p_credits
                USING ERRCODE = 'PT409', DETAIL = jsonb_build_object('balance', trim_scale(left_usd * 100),
                                                                     'free', trim_scale(free_usd * 100)),
                      HINT = 'Take back at most what is neither spent nor held.';
        END IF;
        INSERT INTO holdfast.credit_grants (organization_id, grant_id, account, credits, reason)
        VALUES (p_organization_id, coalesce(p_idempotency_key, gen_random_uuid()), p_account, p_credits, p_reason);
        UPDATE holdfast.budgets b SET limit_usd = b.limit_usd + p_credits * 0.01, updated_at = now()
        WHERE b.organization_id = p_organization_id AND b.budget_id = id;
        UPDATE holdfast.budget_counters c SET limit_usd = c.limit_usd + p_credits * 0.01
        WHERE c.organization_id = p_organization_id AND c.budget_id = id;
        left_usd := left_usd + p_credits * 0.01;
    END IF;
    RETURN trim_scale(left_usd * 100);
END $$;
COMMENT ON FUNCTION grant_credits(uuid, text, numeric, text, uuid) IS
'Gives an account (user:<id> or community:<id>) credits, negative to take some back, and returns its balance; 1 credit = 0.01 USD. From its first grant on the account pays for every call of its user or community. A repeat of p_idempotency_key grants nothing more. Raises PT400, PT403, PT409 (balance, key).';
