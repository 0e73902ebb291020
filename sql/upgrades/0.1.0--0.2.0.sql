-- What changes in tables and types from 0.1.0 to 0.2.0; the functions are replayed after it.

ALTER TABLE budgets
    DROP CONSTRAINT budgets_scope_check,
    ADD COLUMN soft_limit_usd numeric CHECK (soft_limit_usd >= 0 AND soft_limit_usd <= 1000000000000000
                                             AND scale(soft_limit_usd) <= 18),
    ADD COLUMN downgrade_at_usd numeric CHECK (downgrade_at_usd >= 0 AND downgrade_at_usd <= 1000000000000000
                                               AND scale(downgrade_at_usd) <= 18),
    ADD COLUMN downgrade_model text CHECK (octet_length(downgrade_model) BETWEEN 1 AND 255),
    ADD CONSTRAINT budgets_scope CHECK
        (scope IN ('workflow', 'user', 'api_key', 'community', 'provider', 'tool', 'credits', 'organization')),
    ADD CONSTRAINT budgets_downgrade CHECK ((downgrade_at_usd IS NULL) = (downgrade_model IS NULL));

ALTER TABLE budget_counters
    ADD COLUMN slot smallint NOT NULL DEFAULT 0,
    DROP CONSTRAINT budget_counters_pkey,
    ADD PRIMARY KEY (budget_id, organization_id, period_start, slot);

ALTER TABLE holds
    ADD COLUMN community_id uuid,
    ADD COLUMN tool text,
    ADD COLUMN slots smallint[] NOT NULL DEFAULT '{}';

ALTER TABLE budget_denials
    ADD COLUMN community_id uuid,
    ADD COLUMN tool text;

ALTER TYPE ledger_kind ADD VALUE 'refund';
CREATE SEQUENCE ledger_seq;
SELECT pg_extension_config_dump('ledger_seq', '');
ALTER TABLE ai_usage_ledger
    ADD COLUMN seq bigint NOT NULL DEFAULT nextval('holdfast.ledger_seq'),
    ADD COLUMN api_key_id uuid,
    ADD COLUMN community_id uuid,
    ADD COLUMN tool text,
    ADD COLUMN corrects uuid;
CREATE INDEX ledger_corrections ON ai_usage_ledger (organization_id, corrects) WHERE corrects IS NOT NULL;

-- The organization's month is now counted in slots 1 to 16; slot 0 keeps what it has until they ask for it.
INSERT INTO budget_counters (budget_id, organization_id, period_start, scope, slot, limit_usd)
SELECT c.budget_id, c.organization_id, c.period_start, c.scope, s.slot, CASE WHEN c.limit_usd IS NOT NULL THEN 0 END
FROM budget_counters c, generate_series(1, 16) AS s(slot) WHERE c.scope = 'organization' AND c.slot = 0;

-- Functions whose parameters or results change are made anew.
DROP FUNCTION hold_workflow_cost(uuid, uuid, numeric, numeric, interval, text, uuid);
DROP FUNCTION record_usage_and_increment(uuid, uuid, text, integer, integer, numeric, uuid, uuid, text, text, jsonb);
DROP FUNCTION set_budget(uuid, numeric, text, text, text);
DROP FUNCTION open_call(uuid, bytea, text, integer, integer, text, text[], uuid, text, text, bytea, interval);

-- Prepaid credits of users and communities. 1 credit = 0.01 USD.

CREATE TABLE credit_accounts (
    organization_id uuid NOT NULL,
    account text NOT NULL CHECK (account ~ '^(user|community):.' AND octet_length(account) <= 255),
    budget_id uuid NOT NULL,
    from_seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, account)
);
COMMENT ON TABLE credit_accounts IS
'Who pays with credits: user:<id> or community:<id>. Ledger entries of that user or community after from_seq are debits; budget_id names the counter that holds them to the balance.';
SELECT pg_extension_config_dump('credit_accounts', '');

CREATE TABLE credit_grants (
    organization_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    account text NOT NULL,
    credits numeric NOT NULL,
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, grant_id)
);
COMMENT ON TABLE credit_grants IS
'Credits given to an account (negative: taken back), append-only. grant_id is the idempotency key where one was given.';
SELECT pg_extension_config_dump('credit_grants', '');
CREATE INDEX ledger_by_seq ON ai_usage_ledger USING brin (seq) WITH (pages_per_range = 32, autosummarize = on);

DROP FUNCTION check_invariants();

CREATE TABLE ledger_seals (
    seal bigint PRIMARY KEY,
    format smallint NOT NULL,
    from_seq bigint NOT NULL,
    to_seq bigint NOT NULL,
    entries integer NOT NULL,
    seqs int8multirange NOT NULL,
    marks bytea NOT NULL,
    previous_digest bytea NOT NULL,
    digest bytea NOT NULL,
    sealed_at timestamptz NOT NULL
);
COMMENT ON TABLE ledger_seals IS
'Append-only. Each seal covers the ledger entries from from_seq to to_seq: seqs are those that were there, marks the first 8 bytes of each one''s SHA-256 digest (by seq), digest the SHA-256 of the seal''s own figures, the entries'' full digests and previous_digest. format names the columns an entry''s digest is made of. A digest noted elsewhere proves everything up to its seal.';
SELECT pg_extension_config_dump('ledger_seals', '');

CREATE TABLE ledger_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seal bigint NOT NULL,
    digest bytea NOT NULL
);
COMMENT ON TABLE ledger_head IS 'The last seal, kept apart so that a chain which was cut at its end is noticed.';
SELECT pg_extension_config_dump('ledger_head', '');

CREATE TABLE ledger_horizon (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL DEFAULT 0,
    next_seq bigint,
    next_xid xid8
);
COMMENT ON TABLE ledger_horizon IS
'No entry with a seq up to seq can appear any more; none up to next_seq can once every transaction before next_xid has ended. Not dumped: transactions are numbered anew where a dump is restored.';
SELECT pg_extension_config_dump('ledger_horizon', 'WHERE false');

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

CREATE TABLE price_proposals (
    proposal_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT session_user,
    effective_date date NOT NULL,
    max_change_percent numeric NOT NULL,
    catalog_digest bytea NOT NULL,
    applied_at timestamptz,
    applied_by text
);
COMMENT ON TABLE price_proposals IS
'One row for each imported price catalog: from when its prices are to be in force, the change in percent above which they are not applied unless forced, the SHA-256 of the catalog''s jsonb text.';
SELECT pg_extension_config_dump('price_proposals', '');
SELECT pg_extension_config_dump('price_proposals_proposal_id_seq', '');

CREATE TABLE price_proposal_entries (
    proposal_id bigint NOT NULL REFERENCES price_proposals,
    catalog_id text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('new', 'changed', 'unchanged', 'skipped')),
    reason text,
    change_percent numeric,
    exceeds boolean NOT NULL DEFAULT false,
    replaces_price_id integer,
    provider text,
    model text,
    cost_per_1m_input numeric,
    cost_per_1m_output numeric,
    cost_per_1m_cached_input numeric,
    cost_per_1m_cache_write numeric,
    cost_per_1m_reasoning numeric,
    long_context_tokens integer,
    cost_per_1m_input_long numeric,
    cost_per_1m_output_long numeric,
    cost_per_1m_cached_input_long numeric,
    cost_per_request numeric,
    batch_discount_percent smallint,
    context_tokens integer,
    capabilities text[],
    PRIMARY KEY (proposal_id, catalog_id)
);
COMMENT ON TABLE price_proposal_entries IS
'What a catalog says of each model (USD, columns as in ai_provider_pricing) against the price in force (replaces_price_id): new, changed (change_percent: the largest change of one price; NULL where a price was 0 or is new), unchanged, or skipped for a reason. A reason beside an accepted entry is what cannot be kept of it.';
SELECT pg_extension_config_dump('price_proposal_entries', '');

CREATE INDEX holds_expired ON holds (organization_id, created_at) WHERE status = 'expired';

CREATE TABLE call_write_offs (
    organization_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    amount numeric NOT NULL,
    reason text NOT NULL,
    written_off_at timestamptz NOT NULL DEFAULT now(),
    written_off_by text NOT NULL DEFAULT session_user,
    PRIMARY KEY (organization_id, hold_id)
);
COMMENT ON TABLE call_write_offs IS
'Append-only: calls without an end that an operator closed without a charge; amount is the most in USD that they can have cost. A settlement that comes later is recorded all the same.';
SELECT pg_extension_config_dump('call_write_offs', '');
