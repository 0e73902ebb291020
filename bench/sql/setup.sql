-- The subjects of the benchmark: numbered workflows and organizations, ours and the classic way's.
-- Run once in every database, after CREATE EXTENSION holdfast.
CREATE SCHEMA bench;

-- Uuids that pgbench can count through; inlined by the planner.
CREATE FUNCTION bench.workflow(n bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION bench.organization(n bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid $$;

-- The classic way: no holds, no month total, no audit, no price book; a ledger row and a total inside the document.
CREATE SCHEMA classic;
CREATE TABLE classic.workflows (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    workflow_data jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE classic.ledger (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    model text NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cost numeric NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ledger_by_workflow ON classic.ledger (workflow_id);

CREATE FUNCTION classic.settle(p_workflow_id uuid, p_organization_id uuid, p_model text, p_prompt_tokens integer,
                               p_completion_tokens integer, p_cost numeric) RETURNS numeric
    LANGUAGE plpgsql AS $$
DECLARE
    total numeric;
BEGIN
    INSERT INTO classic.ledger (workflow_id, organization_id, model, prompt_tokens, completion_tokens, cost)
    VALUES (p_workflow_id, p_organization_id, p_model, p_prompt_tokens, p_completion_tokens, p_cost);
    UPDATE classic.workflows SET workflow_data = jsonb_set(workflow_data, '{total_ai_cost}',
        to_jsonb(coalesce((workflow_data ->> 'total_ai_cost')::numeric, 0) + p_cost))
    WHERE id = p_workflow_id
    RETURNING (workflow_data ->> 'total_ai_cost')::numeric INTO total;
    RETURN total;
END $$;

CREATE FUNCTION classic.check_limit(p_workflow_id uuid, p_estimated_cost numeric, p_limit numeric) RETURNS boolean
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    total numeric;
BEGIN
    SELECT coalesce((workflow_data ->> 'total_ai_cost')::numeric, 0) INTO total
    FROM classic.workflows WHERE id = p_workflow_id;
    RETURN total + p_estimated_cost <= p_limit;
END $$;

-- make_subjects: `workflows` numbered from base + 1, in turn in `organizations` numbered from base on.
CREATE PROCEDURE bench.make_subjects(base bigint, workflows integer, organizations integer, data jsonb DEFAULT '{}')
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO holdfast.intent_workflows (id, organization_id, workflow_data, cost_limit)
    SELECT bench.workflow(w), bench.organization(base + w % organizations), data, 1000000000
    FROM generate_series(base + 1, base + workflows) w;
    INSERT INTO classic.workflows (id, organization_id, workflow_data)
    SELECT bench.workflow(w), bench.organization(base + w % organizations), data
    FROM generate_series(base + 1, base + workflows) w;
END $$;

-- A document of a megabyte that does not compress to nothing.
CREATE FUNCTION bench.megabyte() RETURNS jsonb
    LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('document', string_agg(md5(n::text), '')) FROM generate_series(1, 32768) n
$$;

-- Many checks in one statement: what the functions themselves take, without a round trip for each.
CREATE TABLE bench.checked (id uuid);
