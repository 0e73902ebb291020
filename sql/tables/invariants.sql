-- What the last clean run of check_invariants() found, so that the next one need not add it up again.
-- Nothing here is dumped: a restored database is first checked in full.

CREATE TABLE checked_ledger (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL,
    checked_at timestamptz NOT NULL
);
COMMENT ON TABLE checked_ledger IS
'The books were right at checked_at, and checked_sums hold all entries with a seq up to seq. No row: they were never checked.';
SELECT pg_extension_config_dump('checked_ledger', 'WHERE false');

CREATE TABLE checked_budgets (
    organization_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    PRIMARY KEY (organization_id, budget_id)
);
COMMENT ON TABLE checked_budgets IS 'The budgets whose entries are in checked_sums.';
SELECT pg_extension_config_dump('checked_budgets', 'WHERE false');

CREATE TABLE checked_sums (
    budget_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    period_start date NOT NULL,
    spent numeric NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (budget_id, organization_id, period_start)
) WITH (fillfactor = 70);
COMMENT ON TABLE checked_sums IS
'USD that the entries up to checked_ledger.seq add up to, for each counter that they move; last_at is the time of the latest.';
SELECT pg_extension_config_dump('checked_sums', 'WHERE false');
