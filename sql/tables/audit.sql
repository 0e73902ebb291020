-- What was asked for and what became of it: one row for each request and step.

-- No CHECK constraints, as in the ledger. An id is a UUID of version 7 of the row's own moment, so that ids are the order
-- of time.
CREATE TABLE ai_audit_log (
    organization_id uuid NOT NULL,
    audit_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    event text NOT NULL,
    status integer,
    request_id uuid,
    correlation_id text,
    hold_id uuid,
    workflow_id uuid,
    run_id uuid,
    step_id text,
    run_group uuid,
    replay_token uuid,
    user_id text,
    api_key_id uuid,
    route text,
    provider text,
    model text,
    prompt_tokens integer,
    completion_tokens integer,
    cost numeric,
    latency_ms integer,
    fallback_used boolean,
    routing jsonb,
    detail jsonb,
    request_body text,
    response_body text
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE ai_audit_log IS
'Append-only: what became of each governed call, of each attempt of it that failed, of each step of a run and of each approval. event is settled, released, attempt_failed, denied, limited, replayed, cached, in_flight, refused, approval.waiting, .approved, .refused or .expired, or what happened in a run (step.completed, step.approved, run.failed …); status the HTTP status that the caller was answered, where that is known. request_id is NULL where it is the correlation_id. hold_id is the call''s hold, and also the id of its ledger entry. run_group is the batch that a run belongs to, replay_token the run''s. cost is in USD, tokens and latency are of the attempt. routing tells which provider was chosen and why. Bodies are kept as set_audit() says, at most 256 KB of each. Partitioned by month (UTC) of created_at; what is older than holdfast.audit_retention_days is dropped with its month.';
SELECT pg_extension_config_dump('ai_audit_log', '');

-- Months are made ahead by keep_audit_partitions(). What finds none, as before its first run, stands here.
-- Keys and indexes belong to the partitions, each made like those of this one: pg_dump could not restore a partition
-- under a table of an extension that has an index.
CREATE TABLE ai_audit_log_rest PARTITION OF ai_audit_log (PRIMARY KEY (organization_id, audit_id, created_at)) DEFAULT;
CREATE INDEX ai_audit_log_rest_correlation ON ai_audit_log_rest (organization_id, correlation_id, audit_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX ai_audit_log_rest_hold ON ai_audit_log_rest (organization_id, hold_id) WHERE hold_id IS NOT NULL;
-- A request without a correlation id of its own is found by the correlation id, which is then the request's.
CREATE INDEX ai_audit_log_rest_request ON ai_audit_log_rest (organization_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX ai_audit_log_rest_run ON ai_audit_log_rest (organization_id, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX ai_audit_log_rest_run_group ON ai_audit_log_rest (organization_id, run_group) WHERE run_group IS NOT NULL;
COMMENT ON TABLE ai_audit_log_rest IS 'The rows of ai_audit_log of months that have no partition of their own.';
SELECT pg_extension_config_dump('ai_audit_log_rest', '');

CREATE TABLE audit_settings (
    organization_id uuid PRIMARY KEY,
    enabled boolean NOT NULL,
    bodies text NOT NULL CHECK (bodies IN ('off', 'redacted', 'full')),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE audit_settings IS
'Organizations whose audit is not as usual. enabled: without it only denials are recorded. bodies: whether prompts and answers are kept, and how.';
SELECT pg_extension_config_dump('audit_settings', '');
