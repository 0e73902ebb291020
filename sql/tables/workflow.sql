-- Workflows. Their cost is counted in budget_counters, apart from their documents.

CREATE TABLE workflows (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    graph text NOT NULL DEFAULT 'intent',
    state text NOT NULL DEFAULT 'CREATED',
    workflow_data jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(workflow_data) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    fence bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (id, organization_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE workflows IS
'The documents and states of workflows. Read and write them through the view intent_workflows, which shows their cost too. fence counts transitions and changes of the worker: it is the seq of the last row in workflow_history.';
SELECT pg_extension_config_dump('workflows', '');
