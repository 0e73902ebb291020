-- What changes in tables and types from 0.2.0 to 0.3.0; whole new files are included as they are.
-- include tables/run.sql

-- Workflows on graphs that are data.
ALTER TABLE workflows
    DROP CONSTRAINT workflows_graph_check,
    ADD COLUMN fence bigint NOT NULL DEFAULT 0,
    SET (fillfactor = 70);
-- include tables/workflow_graph.sql
-- include data/workflow_graphs.sql
-- include tables/rate_limit.sql
