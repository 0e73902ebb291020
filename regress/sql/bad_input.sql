-- Whatever a caller gets wrong has its SQLSTATE, and changes nothing.
\set org '\'e0000000-0000-0000-0000-000000000001\''
\set foreign_org '\'e0000000-0000-0000-0000-000000000002\''
\set id '\'e0000000-0000-0000-0000-0000000000a1\''
INSERT INTO holdfast.intent_workflows (id, organization_id) VALUES (:id, :org);
SELECT cost FROM holdfast.record_usage_and_increment(:id, :org, 'gpt-4o-mini', 1000, 0, p_idempotency_key => :id);
SELECT granted FROM holdfast.hold_workflow_cost(:id, :org, 0.25, p_idempotency_key => :id);

CREATE TEMP TABLE calls (call text);
INSERT INTO calls SELECT replace(replace(replace(call, ':id', quote_literal(:id)), ':org', quote_literal(:org)),
                                 ':foreign', quote_literal(:foreign_org))
FROM (VALUES
    ('hold_workflow_cost(:id, :org, ''NaN'')'),
    ('hold_workflow_cost(:id, :org, ''Infinity'')'),
    ('hold_workflow_cost(:id, :org, ''-Infinity'')'),
    ('hold_workflow_cost(:id, :org, -0.01)'),
    ('hold_workflow_cost(:id, :org, NULL)'),
    ('hold_workflow_cost(:id, :org, 1e15 + 1)'),
    ('hold_workflow_cost(:id, :org, 1e300)'),
    ('hold_workflow_cost(:id, :org, 1e-19)'),
    ('hold_workflow_cost(:id, NULL, 0.1)'),
    ('hold_workflow_cost(:id, :org, 0.1, p_limit => ''NaN'')'),
    ('hold_workflow_cost(:id, :org, 0.1, p_limit => -1)'),
    ('hold_workflow_cost(:id, :org, 0.1, p_ttl => ''0'')'),
    ('hold_workflow_cost(:id, :org, 0.1, p_ttl => ''-1 second'')'),
    ('hold_workflow_cost(:id, :org, 0.1, p_ttl => ''25 hours'')'),
    ('hold_workflow_cost(:id, :org, 0.1, p_ttl => NULL)'),
    ('hold_workflow_cost(:id, :org, 0.1, p_user_id => '''')'),
    ('hold_workflow_cost(:id, :org, 0.1, p_user_id => repeat(''x'', 256))'),
    ('hold_workflow_cost(:id, :foreign, 0.1)'),
    ('hold_workflow_cost(gen_random_uuid(), :org, 0.1)'),
    ('hold_workflow_cost(:id, :org, 0.26, p_idempotency_key => :id)'),
    ('release_hold(NULL, :org)'),
    ('release_hold(:id, :foreign)'),
    ('release_hold(gen_random_uuid(), :org)'),
    ('extend_hold(gen_random_uuid(), :org)'),
    ('extend_hold(:id, :org, ''0'')'),
    ('expire_holds(0)'),
    ('check_workflow_cost_limit(NULL, 0.1)'),
    ('check_workflow_cost_limit(gen_random_uuid(), 0.1)'),
    ('check_workflow_cost_limit(:id, ''NaN'')'),
    ('check_workflow_cost_limit(:id, -1)'),
    ('check_workflow_cost_limit(:id, 1, ''Infinity'')'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, 1, ''NaN'')'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, 1, ''Infinity'')'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, 1, -0.01)'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', -1, 1)'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, -1)'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', NULL, 1)'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 2147483647, 1)'),
    ('record_usage_and_increment(:id, :org, NULL, 1, 1)'),
    ('record_usage_and_increment(:id, :org, '''', 1, 1)'),
    ('record_usage_and_increment(:id, :org, ''gpt-9'', 1, 1)'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, 1, p_provider => ''groq'')'),
    ('record_usage_and_increment(:id, :foreign, ''gpt-4o-mini'', 1, 1)'),
    ('record_usage_and_increment(gen_random_uuid(), :org, ''gpt-4o-mini'', 1, 1)'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, 1, p_hold_id => gen_random_uuid())'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 1, 1, p_metadata => ''[1]'')'),
    ('record_usage_and_increment(:id, :org, ''gpt-4o-mini'', 999, 0, p_idempotency_key => :id)'),
    ('increment_workflow_cost(:id, ''NaN'')'),
    ('increment_workflow_cost(:id, NULL)'),
    ('increment_workflow_cost(:id, -1)'),
    ('increment_workflow_cost(gen_random_uuid(), 1)'),
    ('create_workflow(:org, p_cost_limit => ''Infinity'')'),
    ('create_workflow(:org, p_graph => ''mine'')'),
    ('create_workflow(:org, ''"text"'')'),
    ('create_workflow(NULL)'),
    ('set_budget(:org, -1)'),
    ('set_budget(:org, ''NaN'')'),
    ('set_budget(:org, ''Infinity'')'),
    ('set_budget(NULL, 1)'),
    ('set_budget(:org, 1, p_period => ''year'')'),
    ('create_api_key(:org, '''')'),
    ('create_api_key(NULL, ''key'')'),
    ('grant_access(''nobody-here'', ''application'')'),
    ('grant_access(current_user, ''emperor'')')) c (call);

CREATE FUNCTION pg_temp.state_of(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
BEGIN
    EXECUTE 'SELECT * FROM holdfast.' || call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
    RETURN SQLSTATE || ' ' || regexp_replace(message, '[0-9a-f]{8}-[0-9a-f-]{27}', '<uuid>', 'g');
END $$;
SELECT regexp_replace(call, '''e0000000-0000-0000-0000-0000000000a1''', 'id') AS call, pg_temp.state_of(call) FROM calls;

-- DETAIL is a JSON object with the figures, HINT says what to do.
CREATE FUNCTION pg_temp.explained(call text, OUT detail jsonb, OUT hint text) LANGUAGE plpgsql AS $$
DECLARE
    json text;
BEGIN
    EXECUTE 'SELECT * FROM holdfast.' || call;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS json = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    detail := nullif(json, '')::jsonb;
END $$;
SELECT count(*) AS calls, count(e.detail) >= 30 AS most_have_figures
FROM calls, LATERAL pg_temp.explained(call) e;

-- Nothing changed.
SELECT count(*) AS entries, sum(cost) FROM holdfast.ai_usage_ledger WHERE organization_id IN (:org, :foreign_org);
SELECT count(*) AS holds, sum(amount) FROM holdfast.holds WHERE organization_id IN (:org, :foreign_org);
SELECT count(*) AS workflows FROM holdfast.workflows WHERE organization_id IN (:org, :foreign_org);
SELECT count(*) AS denials FROM holdfast.budget_denials WHERE organization_id IN (:org, :foreign_org);
SELECT * FROM holdfast.check_invariants();
