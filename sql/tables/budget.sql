-- Budgets, what has been spent and held of them, holds, and denials.

CREATE TABLE budgets (
    organization_id uuid NOT NULL,
    budget_id uuid NOT NULL DEFAULT gen_random_uuid(),
    scope text NOT NULL CHECK (scope IN ('organization')),
    subject text NOT NULL DEFAULT '',
    period text NOT NULL CHECK (period IN ('none', 'day', 'week', 'month')),
    limit_usd numeric CHECK (limit_usd >= 0 AND limit_usd <= 1000000000000000 AND scale(limit_usd) <= 18),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, budget_id),
    UNIQUE (organization_id, scope, subject, period)
);
COMMENT ON TABLE budgets IS
'Limits in USD on what a subject of an organization may spend in a period (UTC). The organization''s own month has budget_id = organization_id and counts even without a limit. A workflow''s limit is kept with its counter.';
SELECT pg_extension_config_dump('budgets', '');

-- Narrow, and its changing columns are in no index, so that every change is a HOT update.
CREATE TABLE budget_counters (
    budget_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    period_start date NOT NULL,
    scope text NOT NULL,
    limit_usd numeric,
    spent numeric NOT NULL DEFAULT 0,
    held numeric NOT NULL DEFAULT 0,
    overrun numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (budget_id, organization_id, period_start)
) WITH (fillfactor = 50);
COMMENT ON TABLE budget_counters IS
'USD spent and held of a budget in one period: spent = the sum of its ledger entries, held = the sum of its open holds (also those that have run out and are not swept yet), overrun = by how much settlements that no hold covered passed the limit. budget_id is the workflow for scope workflow, with period_start -infinity.';
SELECT pg_extension_config_dump('budget_counters', '');

CREATE TYPE hold_status AS ENUM ('open', 'settled', 'released', 'expired');
COMMENT ON TYPE hold_status IS 'How a hold stands. It ends once: settled by a ledger entry, released unspent, or expired.';

CREATE TABLE holds (
    organization_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    workflow_id uuid,
    amount numeric NOT NULL,
    status hold_status NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    user_id text,
    api_key_id uuid,
    provider text,
    model text,
    call_key text,
    budget_ids uuid[] NOT NULL,
    period_starts date[] NOT NULL,
    PRIMARY KEY (organization_id, hold_id)
);
CREATE INDEX holds_open ON holds (organization_id, expires_at) WHERE status = 'open';
COMMENT ON TABLE holds IS
'Money reserved before a call, in USD, on the counters named by budget_ids and period_starts. A hold ends once: settled by a ledger entry, released, or expired. After expires_at an open hold reserves nothing any more.';
SELECT pg_extension_config_dump('holds', '');

CREATE TABLE budget_denials (
    organization_id uuid NOT NULL,
    denial_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    workflow_id uuid,
    user_id text,
    api_key_id uuid,
    provider text,
    model text,
    scope text NOT NULL,
    requested numeric NOT NULL,
    limit_usd numeric NOT NULL,
    spent numeric NOT NULL,
    held numeric NOT NULL,
    PRIMARY KEY (organization_id, denial_id)
);
COMMENT ON TABLE budget_denials IS
'One row for each hold that a budget refused: who refused (scope) and the figures in USD at that moment.';
SELECT pg_extension_config_dump('budget_denials', '');
