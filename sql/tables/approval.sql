-- Calls that are too dear to be made without somebody's word.

CREATE TABLE ai_approvals (
    organization_id uuid NOT NULL,
    approval_id uuid NOT NULL DEFAULT gen_random_uuid(),
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'approved', 'refused', 'expired')),
    fingerprint bytea NOT NULL,
    api_key_id uuid NOT NULL,
    user_id text,
    workflow_id uuid,
    route text,
    request_id uuid,
    correlation_id text,
    provider text NOT NULL,
    model text NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    estimated_cost numeric NOT NULL CHECK (estimated_cost >= 0),
    threshold numeric NOT NULL CHECK (threshold >= 0),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reason text,
    idempotency_key text,
    PRIMARY KEY (organization_id, approval_id)
);
CREATE UNIQUE INDEX ai_approvals_waiting ON ai_approvals (organization_id, api_key_id, fingerprint) WHERE status = 'waiting';
CREATE INDEX ai_approvals_open ON ai_approvals (expires_at) WHERE status IN ('waiting', 'approved') AND idempotency_key IS NULL;
CREATE INDEX ai_approvals_created ON ai_approvals (organization_id, created_at);
COMMENT ON TABLE ai_approvals IS
'Calls whose estimate is above the threshold, and what an admin said of them. fingerprint is the SHA-256 of the request: an approval is good for that request alone. What has not been made by expires_at is not made any more, whatever status says. idempotency_key is the one under which the approved call is made: once.';
SELECT pg_extension_config_dump('ai_approvals', '');

CREATE TABLE approval_thresholds (
    organization_id uuid PRIMARY KEY,
    threshold_usd numeric NOT NULL CHECK (threshold_usd >= 0 AND scale(threshold_usd) <= 18)
);
COMMENT ON TABLE approval_thresholds IS
'The estimate in USD above which a call of the organization waits for an approval, where that is less than the gateway''s.';
SELECT pg_extension_config_dump('approval_thresholds', '');
