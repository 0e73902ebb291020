-- Runs that are a step of a workflow: what they bring the workflow to when they end.

CREATE TABLE workflow_step_runs (
    organization_id uuid NOT NULL,
    run_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    step text NOT NULL,
    request jsonb NOT NULL,
    path text[] NOT NULL,
    fence bigint NOT NULL,
    actor text,
    correlation_id text,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('completed', 'failed', 'cancelled', 'superseded')),
    PRIMARY KEY (organization_id, run_id)
);
CREATE UNIQUE INDEX workflow_step_runs_open ON workflow_step_runs (organization_id, workflow_id) WHERE ended_at IS NULL;
CREATE INDEX workflow_step_runs_of_workflow ON workflow_step_runs (organization_id, workflow_id, started_at);
COMMENT ON TABLE workflow_step_runs IS
'The runs that do the steps of workflows, at most one at a time for each. path: the state in which the workflow is worked on, with this fence, and those that it goes through when the run has completed; where the graph has a transition of kind failure from there, a run that ends otherwise takes it. superseded: another had moved the workflow meanwhile. request is what the step was asked for with.';
SELECT pg_extension_config_dump('workflow_step_runs', '');
