-- Budgets that an organization has by its plan, and those that every subject of a scope has by default.

CREATE TABLE plan_budgets (
    plan text NOT NULL CHECK (octet_length(plan) BETWEEN 1 AND 255),
    scope text NOT NULL CHECK (scope IN ('user', 'api_key', 'community', 'provider', 'tool', 'organization')),
    subject text NOT NULL,
    period text NOT NULL CHECK (period IN ('none', 'day', 'week', 'month')),
    limit_usd numeric,
    soft_limit_usd numeric,
    downgrade_at_usd numeric,
    downgrade_model text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plan, scope, subject, period)
);
COMMENT ON TABLE plan_budgets IS
'What the organizations of a plan may spend, in USD, as set_plan_budget() was told. subject * is every subject of the scope.';
SELECT pg_extension_config_dump('plan_budgets', '');

CREATE TABLE organization_plans (
    organization_id uuid PRIMARY KEY,
    plan text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX organization_plans_plan ON organization_plans (plan, organization_id);
COMMENT ON TABLE organization_plans IS 'The plan of an organization, which gives it the budgets that it does not set itself.';
SELECT pg_extension_config_dump('organization_plans', '');

CREATE TABLE budget_defaults (
    organization_id uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('user', 'api_key', 'community', 'provider', 'tool')),
    period text NOT NULL CHECK (period IN ('none', 'day', 'week', 'month')),
    limit_usd numeric,
    soft_limit_usd numeric,
    downgrade_at_usd numeric,
    downgrade_model text,
    source text NOT NULL CHECK (source IN ('own', 'plan')),
    PRIMARY KEY (organization_id, scope, period)
);
COMMENT ON TABLE budget_defaults IS
'The figures in USD of the budget that every subject of a scope has, unless it is given one of its own. The budget is made by the first call that names the subject. source: own (set_budget() with subject *) or plan.';
SELECT pg_extension_config_dump('budget_defaults', '');
