-- Batches: one definition over many inputs, under one hold.

CREATE TABLE workflow_run_batches (
    organization_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    workflow_id uuid,
    name text NOT NULL,
    version text NOT NULL,
    definition jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
    inputs integer NOT NULL,
    next_input integer NOT NULL DEFAULT 1,
    most_active integer NOT NULL,
    max_cost numeric NOT NULL,
    run_max_cost numeric NOT NULL,
    run_timeout_ms bigint NOT NULL,
    user_id text,
    api_key_id uuid,
    community_id uuid,
    tool text,
    idempotency_key text,
    fingerprint bytea,
    error jsonb,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (organization_id, batch_id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX workflow_run_batches_key ON workflow_run_batches (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX workflow_run_batches_recent ON workflow_run_batches (organization_id, created_at);
CREATE INDEX workflow_run_batches_at_work ON workflow_run_batches (created_at) WHERE ended_at IS NULL;
COMMENT ON TABLE workflow_run_batches IS
'Batches of runs of one definition. Its hold has the batch''s id and holds what of max_cost (USD) no run has: each run takes its part when it begins and what is left of that comes back. next_input is the number of the input that is begun next, most_active how many runs there are at once, run_max_cost and run_timeout_ms what each may take.';
SELECT pg_extension_config_dump('workflow_run_batches', '');

CREATE TABLE workflow_run_batch_inputs (
    organization_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    input_no integer NOT NULL,
    input jsonb NOT NULL,
    PRIMARY KEY (organization_id, batch_id, input_no)
);
COMMENT ON TABLE workflow_run_batch_inputs IS 'The inputs of batches, numbered from 1.';
SELECT pg_extension_config_dump('workflow_run_batch_inputs', '');
