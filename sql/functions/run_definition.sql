-- Definitions of step-by-step workflows.

CREATE FUNCTION check_definition(p_definition jsonb, OUT name text, OUT version text, OUT steps integer,
                                 OUT max_cost numeric, OUT timeout_ms integer)
    LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'holdfast_check_definition';
COMMENT ON FUNCTION check_definition(jsonb) IS
'Checks a workflow''s definition and says what it comes to: its steps, the most in USD that a run may cost, its longest time in ms. Raises PT422 for a fault, whose DETAIL names the step and the fault: bad_name, bad_value, bad_condition, bad_schema, missing, duplicate, unknown_member, unknown_action, unknown_target, unknown_variable, cycle, limit. Limits are the operator''s settings holdfast.max_workflow_steps, max_workflow_cost (USD), max_workflow_runtime_ms, max_step_attempts, max_step_tokens; settings in a definition only lower them.';

CREATE FUNCTION check_saved_definition() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    checked record;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'A version of a workflow is not changed: it is %.', old.name || ' ' || old.version
            USING ERRCODE = 'PT409', HINT = 'Save another version.';
    END IF;
    PERFORM holdfast.require_organization(new.organization_id);
    SELECT * INTO checked FROM holdfast.check_definition(new.definition);
    new.name := checked.name;
    new.version := checked.version;
    RETURN new;
END $$;
COMMENT ON FUNCTION check_saved_definition() IS
'Trigger of ai_workflows: refuses a definition with a fault (PT422), and changes of one that was saved (PT409).';

CREATE TRIGGER check_saved_definition BEFORE INSERT OR UPDATE ON ai_workflows
    FOR EACH ROW EXECUTE FUNCTION check_saved_definition();

CREATE FUNCTION save_workflow_definition(p_organization_id uuid, p_definition jsonb, p_created_by text DEFAULT NULL,
                                         OUT workflow_id uuid, OUT name text, OUT version text, OUT duplicate boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    checked record;
    saved holdfast.ai_workflows;
BEGIN
    IF p_organization_id IS NULL OR p_definition IS NULL THEN
        RAISE EXCEPTION 'A definition needs an organization.'
            USING ERRCODE = 'PT400', HINT = 'Give p_organization_id and p_definition.';
    END IF;
    PERFORM holdfast.require_organization(p_organization_id);
    SELECT * INTO checked FROM holdfast.check_definition(p_definition);
    INSERT INTO holdfast.ai_workflows AS w (organization_id, name, version, definition, created_by)
    VALUES (p_organization_id, checked.name, checked.version, p_definition, p_created_by)
    ON CONFLICT DO NOTHING RETURNING w.* INTO saved;
    duplicate := saved.workflow_id IS NULL;
    IF duplicate THEN
        SELECT w.* INTO saved FROM holdfast.ai_workflows w
        WHERE w.organization_id = p_organization_id AND w.name = checked.name AND w.version = checked.version;
        IF saved.definition IS DISTINCT FROM p_definition THEN
            RAISE EXCEPTION 'Version % of workflow "%" was saved before with another definition.', checked.version, checked.name
                USING ERRCODE = 'PT409', HINT = 'Give the definition another version.',
                      DETAIL = jsonb_build_object('workflowId', saved.workflow_id, 'name', checked.name,
                                                  'version', checked.version);
        END IF;
    END IF;
    workflow_id := saved.workflow_id;
    name := saved.name;
    version := saved.version;
END $$;
COMMENT ON FUNCTION save_workflow_definition(uuid, jsonb, text) IS
'Checks and saves a definition under its name and version. The same once more is a duplicate and changes nothing. Raises PT400, PT403, PT409 when the version was saved with another definition, PT422 for a fault, as check_definition() does.';

CREATE FUNCTION list_workflow_definitions(p_organization_id uuid, OUT workflow_id uuid, OUT name text, OUT version text,
                                          OUT definition jsonb, OUT created_at timestamptz, OUT created_by text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.workflow_id, w.name, w.version, w.definition, w.created_at, w.created_by
    FROM holdfast.ai_workflows w
    WHERE holdfast.require_organization(p_organization_id) AND w.organization_id = p_organization_id
    ORDER BY w.name, w.created_at DESC, w.workflow_id DESC
$$;
COMMENT ON FUNCTION list_workflow_definitions(uuid) IS
'All saved definitions of the organization, by name, the newest version first. Raises PT403 for another organization.';
