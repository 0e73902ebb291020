-- Workflows. Their cost is counted in budget_counters, apart from their documents.

CREATE TABLE workflows (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    graph text NOT NULL DEFAULT 'intent' CHECK (graph = 'intent'),
    state text NOT NULL DEFAULT 'CREATED',
    workflow_data jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(workflow_data) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, organization_id)
);
COMMENT ON TABLE workflows IS
'The documents and states of workflows. Read and write them through the view intent_workflows, which shows their cost too.';
SELECT pg_extension_config_dump('workflows', '');
