-- What changes in tables and types from 0.2.0 to 0.3.0; whole new files are included as they are.
-- include tables/run.sql
-- include tables/intent.sql
-- include tables/run_batch.sql

-- Workflows on graphs that are data.
ALTER TABLE workflows
    DROP CONSTRAINT workflows_graph_check,
    ADD COLUMN fence bigint NOT NULL DEFAULT 0,
    SET (fillfactor = 70);
-- include tables/workflow_graph.sql
-- include data/workflow_graphs.sql
-- include tables/audit.sql
-- include tables/rate_limit.sql
-- include tables/organization_setting.sql
-- include tables/cache.sql

-- What a key is bound to.
ALTER TABLE api_keys
    ADD COLUMN allowed_models text[],
    ADD COLUMN allowed_providers text[],
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute >= 0),
    ADD COLUMN tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
    ADD COLUMN replaced_by uuid,
    ADD COLUMN is_token boolean NOT NULL DEFAULT false;
CREATE INDEX api_keys_tokens ON api_keys (expires_at) WHERE is_token;

-- Functions whose parameters or results change are made anew.
DROP FUNCTION IF EXISTS open_call(uuid, bytea, text, integer, integer, text, text[], uuid, text, text, bytea, interval, text, uuid, text);
DROP FUNCTION IF EXISTS settle_call(uuid, uuid, text, integer, integer, integer, integer, integer, boolean, numeric, integer, text, jsonb);
DROP FUNCTION IF EXISTS release_call(uuid, uuid);
DROP FUNCTION IF EXISTS create_api_key(uuid, text, text, text, timestamptz);

ALTER TABLE holdfast.budgets ADD COLUMN source text NOT NULL DEFAULT 'own'
    CONSTRAINT budgets_source CHECK (source IN ('own', 'plan', 'default'));

DROP FUNCTION IF EXISTS holdfast.get_budgets(uuid); -- has one more column now

-- include tables/plan.sql

-- Prices that users add have ids of their own range from here on; what has one below keeps it.
ALTER TABLE holdfast.ai_provider_pricing ALTER COLUMN price_id SET START WITH 10000;
SELECT setval('holdfast.ai_provider_pricing_price_id_seq', greatest(last_value, 9999)) FROM holdfast.ai_provider_pricing_price_id_seq;

-- include tables/routing.sql
-- include tables/approval.sql
-- include tables/alert.sql
