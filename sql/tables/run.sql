-- Definitions of step-by-step workflows, and their runs.

CREATE TABLE ai_workflows (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    version text NOT NULL,
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text,
    PRIMARY KEY (organization_id, workflow_id),
    UNIQUE (organization_id, name, version)
);
COMMENT ON TABLE ai_workflows IS
'Definitions of workflows, checked when they are saved: name and version are those of the definition, and a version that was saved is never changed. A run keeps the definition it began with.';
SELECT pg_extension_config_dump('ai_workflows', '');

CREATE TABLE workflow_runs (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    workflow_id uuid,
    name text NOT NULL,
    version text NOT NULL,
    definition jsonb NOT NULL,
    input jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'waiting', 'completed', 'failed', 'cancelled')),
    user_id text,
    api_key_id uuid,
    community_id uuid,
    tool text,
    intent_workflow_id uuid,
    split_key text NOT NULL,
    idempotency_key text,
    fingerprint bytea,
    hold_id uuid NOT NULL,
    max_cost numeric NOT NULL,
    drawn numeric NOT NULL DEFAULT 0,
    total_cost numeric NOT NULL DEFAULT 0,
    last_event bigint NOT NULL DEFAULT 0,
    error jsonb,
    created_at timestamptz NOT NULL,
    deadline_at timestamptz,
    time_left_ms bigint,
    ended_at timestamptz,
    replay_of uuid,
    replay_token uuid NOT NULL DEFAULT gen_random_uuid(),
    batch_id uuid,
    batch_no integer,
    rest_is_due boolean NOT NULL DEFAULT false,
    rest numeric,
    PRIMARY KEY (organization_id, run_id)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX workflow_runs_key ON workflow_runs (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX workflow_runs_replay ON workflow_runs (organization_id, replay_token);
CREATE INDEX workflow_runs_recent ON workflow_runs (organization_id, created_at);
CREATE INDEX workflow_runs_of_workflow ON workflow_runs (organization_id, workflow_id, created_at);
CREATE INDEX workflow_runs_of_user ON workflow_runs (organization_id, user_id, created_at);
CREATE INDEX workflow_runs_due ON workflow_runs (deadline_at) WHERE deadline_at IS NOT NULL AND ended_at IS NULL;
CREATE UNIQUE INDEX workflow_runs_of_batch ON workflow_runs (organization_id, batch_id, batch_no) WHERE batch_id IS NOT NULL;
CREATE INDEX workflow_runs_at_work ON workflow_runs (organization_id, batch_id) WHERE batch_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX workflow_runs_rests ON workflow_runs (organization_id, batch_id) WHERE rest_is_due;
COMMENT ON TABLE workflow_runs IS
'Runs of definitions. hold_id is the hold that the run''s steps draw on; max_cost is the most in USD that they may draw together, drawn what is drawn now: what they cost, what is held for those that run, and what an attempt that was lost can have cost. total_cost is what the ledger has of it. While a run waits for an approval alone its time stands still: deadline_at is NULL and time_left_ms what remains. last_event numbers its events. replay_of is the run that this one runs once more. batch_id and batch_no name the batch and its input that the run is for; its hold is a part of the batch''s, and what it has not drawn at the end (rest_is_due) goes back there as rest.';
SELECT pg_extension_config_dump('workflow_runs', '');

CREATE TABLE workflow_run_steps (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_no smallint NOT NULL,
    step_id text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'waiting', 'ready', 'running', 'completed', 'failed', 'skipped',
                                           'unreached', 'cancelled')),
    approved boolean NOT NULL DEFAULT false,
    variant text,
    fence bigint NOT NULL DEFAULT 0,
    failures smallint NOT NULL DEFAULT 0,
    losses smallint NOT NULL DEFAULT 0,
    ready_at timestamptz,
    lease_until timestamptz,
    waiting_until timestamptz,
    worker text,
    output text,
    error jsonb,
    provider text,
    model text,
    providers text[],
    given_up text[] NOT NULL DEFAULT '{}',
    fallback_used boolean NOT NULL DEFAULT false,
    cost numeric NOT NULL DEFAULT 0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    latency_ms bigint,
    cached boolean NOT NULL DEFAULT false,
    request_digest bytea,
    misfit text,
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (organization_id, run_id, step_no)
) WITH (fillfactor = 70);
CREATE INDEX workflow_run_steps_ready ON workflow_run_steps (ready_at) WHERE status = 'ready';
CREATE INDEX workflow_run_steps_leased ON workflow_run_steps (lease_until) WHERE status = 'running';
CREATE INDEX workflow_run_steps_waiting ON workflow_run_steps (waiting_until) WHERE status = 'waiting';
CREATE INDEX workflow_run_steps_answers ON workflow_run_steps (organization_id, request_digest, ended_at)
    WHERE request_digest IS NOT NULL AND status = 'completed';
COMMENT ON TABLE workflow_run_steps IS
'The steps of runs and how each stands. fence counts its attempts: only the worker that holds the newest may write. failures are attempts that failed at the provider whose turn it is, losses attempts whose worker died. cost in USD and tokens are sums over its attempts. given_up are the providers and models that have failed it, providers who may serve it next (NULL: any). misfit: what did not fit the step''s schema in an answer, which is asked for once more. unreached: nothing led to it; skipped: its condition did not hold.';
SELECT pg_extension_config_dump('workflow_run_steps', '');

CREATE TABLE workflow_run_attempts (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_no smallint NOT NULL,
    fence bigint NOT NULL,
    hold_id uuid NOT NULL,
    amount numeric NOT NULL,
    worker text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    outcome text NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'completed', 'failed', 'lost', 'superseded')),
    cost numeric,
    latency_ms bigint,
    error jsonb,
    routing jsonb NOT NULL,
    has_next boolean NOT NULL,
    fallback_used boolean NOT NULL,
    trial bigint,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (organization_id, run_id, step_no, fence)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX workflow_run_attempts_hold ON workflow_run_attempts (organization_id, hold_id);
COMMENT ON TABLE workflow_run_attempts IS
'Each time a worker took a step: its hold, which is also the id of its ledger entry, with amount, the most in USD it can cost. routing says why its provider was chosen, has_next whether another could have stood in, trial is of the provider''s circuit breaker. lost: its worker died; superseded: its answer came when the step was no longer its own. Either way what it cost is in the ledger once it is known.';
SELECT pg_extension_config_dump('workflow_run_attempts', '');

CREATE TABLE workflow_run_events (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    event_no bigint NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL,
    step_id text,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (organization_id, run_id, event_no)
);
COMMENT ON TABLE workflow_run_events IS
'What happened in a run, numbered from 1 without a gap, in the order in which it was committed.';
SELECT pg_extension_config_dump('workflow_run_events', '');

CREATE TABLE workflow_run_outcomes (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    outcome text NOT NULL,
    score numeric,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, run_id)
);
COMMENT ON TABLE workflow_run_outcomes IS 'What became of a run''s result, as its user says: for comparing the variants of steps.';
SELECT pg_extension_config_dump('workflow_run_outcomes', '');
