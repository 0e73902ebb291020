-- What is odd about costs.

CREATE TABLE ai_cost_alerts (
    organization_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    alert_type text NOT NULL CHECK (alert_type IN ('threshold', 'drift', 'spike', 'anomaly')),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    provider text NOT NULL DEFAULT '',
    model text NOT NULL DEFAULT '',
    day date NOT NULL,
    threshold_value numeric,
    actual_value numeric,
    message text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, alert_type, provider, model, day, severity)
);
COMMENT ON TABLE ai_cost_alerts IS
'One alert of a kind and severity for each provider, model and day (UTC). drift: a provider says that a call cost something else than its price (threshold_value: our cost, actual_value: the provider''s, both in USD, of the first such call, whose ledger entry metadata names).';
SELECT pg_extension_config_dump('ai_cost_alerts', '');
