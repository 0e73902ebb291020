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
CREATE INDEX ledger_by_seq ON ai_usage_ledger USING brin (seq) WITH (pages_per_range = 32);
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
