-- The ledger as others want to read it.

CREATE VIEW ai_cost_ledger WITH (security_barrier) AS
    SELECT l.id, l.created_at AS "timestamp", l.provider, l.model, l.prompt_tokens AS tokens_in,
           l.completion_tokens AS tokens_out, l.cost AS cost_usd, l.workflow_id, l.user_id, l.cache_hit,
           l.fallback_used, l.anomaly_flag, l.metadata, l.organization_id
    FROM holdfast.ai_usage_ledger l
    WHERE l.organization_id = (SELECT holdfast.current_organization()) OR (SELECT holdfast.sees_every_organization());
COMMENT ON VIEW ai_cost_ledger IS 'The ledger in the names of the orchestrator; cost_usd in USD.';

CREATE FUNCTION check_invoice_lines(p_lines jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_lines) <> 'array' OR jsonb_array_length(p_lines) > 100000 THEN
        RAISE EXCEPTION 'p_lines is no JSON array of at most 100000 lines.' USING ERRCODE = 'PT400';
    ELSIF EXISTS (SELECT FROM jsonb_array_elements(p_lines) l
                  WHERE jsonb_typeof(l) <> 'object' OR coalesce(l ->> 'model', '') = ''
                     OR coalesce(l ->> 'amount', '') !~ '^-?\d{1,15}(\.\d{1,18})?([eE]-?\d{1,2})?$'
                     OR CASE WHEN coalesce(l ->> 'day', '2000-01-01') ~ '^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$'
                             THEN right(l ->> 'day', 2)::integer > date_part('day',
                                  (left(l ->> 'day', 8) || '01')::date + interval '1 month' - interval '1 day')
                             ELSE true END) THEN
        RAISE EXCEPTION 'A line of the invoice is not {"day", "model", "amount"}.'
            USING ERRCODE = 'PT400', HINT = 'Give the day as YYYY-MM-DD (or leave it out of all lines) and the amount in USD.';
    ELSIF (SELECT count(DISTINCT coalesce(jsonb_typeof(l -> 'day'), 'null') = 'string') FROM jsonb_array_elements(p_lines) l) > 1 THEN
        RAISE EXCEPTION 'Some lines of the invoice have a day and others have none.'
            USING ERRCODE = 'PT400', HINT = 'Give the day in all lines or in none.';
    END IF;
END $$;
COMMENT ON FUNCTION check_invoice_lines(jsonb) IS 'Raises PT400 unless these are lines that an invoice can have.';

CREATE FUNCTION reconcile_invoice(p_provider text, p_period date, p_amount numeric, p_lines jsonb DEFAULT NULL,
                                  OUT part text, OUT day date, OUT model text, OUT calls bigint, OUT ledger_usd numeric,
                                  OUT invoice_usd numeric, OUT difference_usd numeric, OUT verdict text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first_day CONSTANT date := date_trunc('month', p_period)::date;
    lines CONSTANT jsonb := coalesce(nullif(p_lines, 'null'), '[]');
    -- Without lines, or with days in them, the ledger is shown by day; else by model alone, as the invoice is.
    by_day boolean;
BEGIN
    IF coalesce(p_provider, '') = '' OR p_period IS NULL OR NOT isfinite(p_period) OR p_amount IS NULL OR p_amount = 'NaN'
       OR abs(p_amount) > 1000000000000000 THEN
        RAISE EXCEPTION 'An invoice has a provider, a month and an amount.'
            USING ERRCODE = 'PT400', HINT = 'Give p_provider, a day of the month as p_period, and p_amount in USD.';
    END IF;
    PERFORM holdfast.check_invoice_lines(lines);
    by_day := lines = '[]' OR lines -> 0 ? 'day' AND jsonb_typeof(lines -> 0 -> 'day') = 'string';
    RETURN QUERY
    WITH booked AS (
        SELECT CASE WHEN by_day THEN (l.created_at AT TIME ZONE 'UTC')::date END AS on_day,
               CASE WHEN l.model <> '' THEN holdfast.normalize_model(l.model) END AS name, count(*) AS calls, sum(l.cost) AS usd
        FROM holdfast.ai_usage_ledger l
        WHERE l.provider = lower(p_provider) AND l.created_at >= first_day::timestamp AT TIME ZONE 'UTC'
          AND l.created_at < (first_day + interval '1 month') AT TIME ZONE 'UTC'
        GROUP BY 1, 2
    ), billed AS (
        SELECT (l ->> 'day')::date AS on_day, holdfast.normalize_model(l ->> 'model') AS name, sum((l ->> 'amount')::numeric) AS usd
        FROM jsonb_array_elements(lines) l GROUP BY 1, 2
    ), compared AS (
        SELECT coalesce(b.on_day, i.on_day) AS on_day, coalesce(b.name, i.name) AS name, coalesce(b.calls, 0) AS calls,
               b.usd AS ledger, i.usd AS invoice
        FROM booked b FULL JOIN billed i ON i.name = b.name AND coalesce(i.on_day, '-infinity') = coalesce(b.on_day, '-infinity')
    ), sums AS (
        SELECT coalesce(sum(c.calls), 0)::bigint AS calls, coalesce(sum(c.ledger), 0) AS ledger, sum(c.invoice) AS invoice
        FROM compared c
    )
    SELECT 'model', c.on_day, c.name, c.calls, trim_scale(coalesce(c.ledger, 0)),
           CASE WHEN lines <> '[]' THEN trim_scale(coalesce(c.invoice, 0)) END,
           CASE WHEN lines <> '[]' THEN trim_scale(coalesce(c.invoice, 0) - coalesce(c.ledger, 0)) END,
           CASE WHEN lines = '[]' THEN 'the invoice has no lines'
                WHEN c.invoice IS NULL THEN 'only in the ledger'
                WHEN c.ledger IS NULL THEN 'only on the invoice'
                WHEN c.invoice > c.ledger THEN 'billed more than the ledger has'
                WHEN c.invoice < c.ledger THEN 'billed less than the ledger has' ELSE 'agrees' END
    FROM compared c
    UNION ALL
    SELECT 'lines', NULL, NULL, NULL, NULL, trim_scale(s.invoice), trim_scale(p_amount - s.invoice),
           CASE WHEN s.invoice = p_amount THEN 'agrees' ELSE 'the lines do not add up to the amount' END
    FROM sums s WHERE lines <> '[]'
    UNION ALL
    SELECT 'total', NULL, NULL, s.calls, trim_scale(s.ledger), trim_scale(p_amount), trim_scale(p_amount - s.ledger),
           CASE WHEN p_amount > s.ledger THEN 'billed more than the ledger has'
                WHEN p_amount < s.ledger THEN 'billed less than the ledger has' ELSE 'agrees' END
    FROM sums s
    ORDER BY 1 DESC, 2 NULLS LAST, 3;
END $$;
COMMENT ON FUNCTION reconcile_invoice(text, date, numeric, jsonb) IS
'Compares a provider''s invoice for the month of p_period (UTC) with the ledger of all organizations: a row for each day and model, with the lines p_lines ([{"day", "model", "amount"}], day in all or in none) beside the ledger''s USD, a row that adds up the lines, and the total. difference_usd is invoice less ledger; verdict says where they part. Raises PT400.';
