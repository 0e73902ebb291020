-- The graphs that workflows move on, what became of each workflow, and who works on it.

CREATE TABLE workflow_states (
    graph text NOT NULL CHECK (graph ~ '^[a-z][a-z0-9_-]{0,62}$'),
    state text NOT NULL CHECK (state ~ '^[A-Za-z][A-Za-z0-9_]{0,62}$'),
    step integer CHECK (step BETWEEN 1 AND 1000),
    status text NOT NULL CHECK (status ~ '^[a-z][a-z_]{0,62}$'),
    is_initial boolean NOT NULL DEFAULT false,
    is_terminal boolean NOT NULL DEFAULT false,
    lease_ttl interval CHECK (lease_ttl BETWEEN '1 second' AND '24 hours'),
    attempts integer NOT NULL DEFAULT 1 CHECK (attempts BETWEEN 1 AND 100),
    shipped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (graph, state)
);
COMMENT ON TABLE workflow_states IS
'The states of each graph. step: where a page shows it (NULL: nowhere), status: what it means in one word. A state with a lease_ttl is work: whoever brings a workflow there holds it for that long, renews it by heartbeat(), and after so many attempts that ran out it fails. shipped: part of the built-in graph, which cannot be changed.';
SELECT pg_extension_config_dump('workflow_states', 'WHERE NOT shipped');

CREATE TABLE workflow_transitions (
    graph text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL CHECK (to_state <> from_state),
    kind text NOT NULL DEFAULT 'forward' CHECK (kind IN ('forward', 'claim', 'failure', 'retry', 'cancel')),
    shipped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (graph, from_state, to_state)
);
CREATE UNIQUE INDEX workflow_transitions_one_of_a_kind ON workflow_transitions (graph, from_state, kind) WHERE kind <> 'forward';
COMMENT ON TABLE workflow_transitions IS
'Which state may follow which. kind: claim is taken by claim_workflow_step() for a worker, failure by reap_workflow_leases() when leases ran out, retry and cancel by people; forward is any other. A state has at most one of each of these four.';
SELECT pg_extension_config_dump('workflow_transitions', 'WHERE NOT shipped');

-- No CHECK constraints: the server would parse them anew for every row. What writes here has checked before.
CREATE TABLE workflow_history (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    seq bigint NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    actor text,
    reason text,
    correlation_id text,
    created_at timestamptz NOT NULL,
    result jsonb,
    PRIMARY KEY (organization_id, workflow_id, seq)
);
COMMENT ON TABLE workflow_history IS
'Every transition of every workflow, append-only, numbered from 1 within the workflow, so that two that follow the same one cannot both be stored. A row whose from_state is its to_state tells that another worker took the work over. result is what the transition was made with.';
SELECT pg_extension_config_dump('workflow_history', '');

CREATE TABLE workflow_leases (
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    graph text NOT NULL,
    state text NOT NULL,
    work_state text NOT NULL,
    fence bigint NOT NULL,
    attempt integer NOT NULL,
    attempts integer NOT NULL,
    worker text,
    ttl interval NOT NULL,
    due_at timestamptz NOT NULL,
    fails_at timestamptz,
    PRIMARY KEY (organization_id, workflow_id)
) WITH (fillfactor = 70);
CREATE INDEX workflow_leases_due ON workflow_leases (organization_id, due_at);
COMMENT ON TABLE workflow_leases IS
'Work that waits for a worker (fails_at NULL, since due_at) or that one holds until due_at: its attempt of the attempts allowed at work_state. After due_at another may take it over; from fails_at on it is failed: at once after the last attempt, else when nobody has taken it over for another ttl.';
SELECT pg_extension_config_dump('workflow_leases', '');
