-- What was spent: one entry for each charge, never changed.

CREATE TYPE ledger_kind AS ENUM ('usage', 'adjustment', 'refund');
COMMENT ON TYPE ledger_kind IS 'usage: a call was charged. adjustment: a correction without a call. refund: a part of an earlier entry (corrects) taken back.';

CREATE SEQUENCE ledger_seq;
COMMENT ON SEQUENCE ledger_seq IS 'Numbers ledger entries in the order in which they were begun; numbers of transactions that failed are missing.';
SELECT pg_extension_config_dump('ledger_seq', '');

-- No CHECK constraints: the server would parse them anew for every entry. What writes here has checked before.
CREATE TABLE ai_usage_ledger (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    workflow_id uuid,
    idempotency_key uuid,
    hold_id uuid,
    created_at timestamptz NOT NULL,
    price_id integer,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cached_tokens integer,
    cache_write_tokens integer,
    reasoning_tokens integer,
    cache_hit boolean NOT NULL DEFAULT false,
    fallback_used boolean NOT NULL DEFAULT false,
    anomaly_flag boolean NOT NULL DEFAULT false,
    estimated boolean NOT NULL DEFAULT false,
    kind ledger_kind NOT NULL DEFAULT 'usage',
    provider text,
    model text,
    user_id text,
    cost numeric NOT NULL,
    list_cost numeric,
    reported_cost numeric,
    overrun numeric NOT NULL DEFAULT 0,
    total_ai_cost numeric,
    metadata jsonb NOT NULL DEFAULT '{}',
    seq bigint NOT NULL DEFAULT nextval('holdfast.ledger_seq'),
    api_key_id uuid,
    community_id uuid,
    tool text,
    corrects uuid,
    PRIMARY KEY (organization_id, id)
);
-- A few bytes a page: ranges of entries are found for sealing and checking, and inserts hardly notice.
CREATE INDEX ledger_corrections ON ai_usage_ledger (organization_id, corrects) WHERE corrects IS NOT NULL;
CREATE INDEX ledger_by_seq ON ai_usage_ledger USING brin (seq) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE ai_usage_ledger IS
'Every charge, in USD, append-only for everyone. id is the idempotency key where one was given, so that a key can be used once for ever. list_cost is what price_id makes of the tokens (a difference to cost is drift), reported_cost what the provider says it charged, overrun what no hold had covered, total_ai_cost the workflow''s total right after this entry. estimated: the provider sent no usage, the tokens were counted from what was received.';
SELECT pg_extension_config_dump('ai_usage_ledger', '');
