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
