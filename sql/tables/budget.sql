-- Budgets, what has been spent and held of them, holds, and denials.

CREATE TABLE budgets (
    organization_id uuid NOT NULL,
    budget_id uuid NOT NULL DEFAULT gen_random_uuid(),
    scope text NOT NULL,
    subject text NOT NULL DEFAULT '',
    period text NOT NULL CHECK (period IN ('none', 'day', 'week', 'month')),
    limit_usd numeric CHECK (limit_usd >= 0 AND limit_usd <= 1000000000000000 AND scale(limit_usd) <= 18),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    soft_limit_usd numeric CHECK (soft_limit_usd >= 0 AND soft_limit_usd <= 1000000000000000 AND scale(soft_limit_usd) <= 18),
    downgrade_at_usd numeric CHECK (downgrade_at_usd >= 0 AND downgrade_at_usd <= 1000000000000000
                                    AND scale(downgrade_at_usd) <= 18),
    downgrade_model text CHECK (octet_length(downgrade_model) BETWEEN 1 AND 255),
    source text NOT NULL DEFAULT 'own' CONSTRAINT budgets_source CHECK (source IN ('own', 'plan', 'default')),
    PRIMARY KEY (organization_id, budget_id),
    UNIQUE (organization_id, scope, subject, period),
    CONSTRAINT budgets_scope CHECK
        (scope IN ('workflow', 'user', 'api_key', 'community', 'provider', 'tool', 'credits', 'organization')),
    CONSTRAINT budgets_downgrade CHECK ((downgrade_at_usd IS NULL) = (downgrade_model IS NULL))
);
COMMENT ON TABLE budgets IS
'Limits in USD on what a subject of an organization may spend in a period (UTC): limit_usd refuses, soft_limit_usd warns, from downgrade_at_usd on calls go to downgrade_model. subject is the user, key, community, provider, tool or workflow; for scope credits user:<id> or community:<id>. The organization''s own month has budget_id = organization_id and counts even without a limit. A workflow''s cost_limit is kept with its counter. source is who gave the figures: own (set_budget()), plan (the organization''s plan), default (the organization''s default for every subject of the scope, or nobody).';
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
    slot smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (budget_id, organization_id, period_start, slot)
) WITH (fillfactor = 50);
COMMENT ON TABLE budget_counters IS
'A budget that many calls share is counted in several slots: its figures are their sums, its limit the sum of their shares. USD spent and held of a budget in one period: spent = the sum of its ledger entries, held = the sum of its open holds (also those that have run out and are not swept yet), overrun = by how much settlements that no hold covered passed the limit. budget_id is the workflow for scope workflow, with period_start -infinity.';
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
    community_id uuid,
    tool text,
    slots smallint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (organization_id, hold_id)
);
CREATE INDEX holds_open ON holds (organization_id, expires_at) WHERE status = 'open';
CREATE INDEX holds_expired ON holds (organization_id, created_at) WHERE status = 'expired';
COMMENT ON TABLE holds IS
'Money reserved before a call, in USD, on the counters named by budget_ids, period_starts and slots (empty: all 0). A hold ends once: settled by a ledger entry, released, or expired. After expires_at an open hold reserves nothing any more.';
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
    community_id uuid,
    tool text,
    PRIMARY KEY (organization_id, denial_id)
);
COMMENT ON TABLE budget_denials IS
'One row for each hold that a budget refused: who refused (scope) and the figures in USD at that moment.';
SELECT pg_extension_config_dump('budget_denials', '');
