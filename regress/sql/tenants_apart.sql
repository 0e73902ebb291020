-- No role reaches another organization, through whichever function, table or view the catalog has.
\set VERBOSITY terse
\set mine '\'7e000000-0000-0000-0000-000000000001\''
\set theirs '\'7e000000-0000-0000-0000-000000000002\''
SET client_min_messages = warning;
DROP ROLE IF EXISTS holdfast_app, holdfast_reader, holdfast_operator;
CREATE ROLE holdfast_app;
CREATE ROLE holdfast_reader;
CREATE ROLE holdfast_operator;
RESET client_min_messages;
SELECT holdfast.grant_access('holdfast_app', 'application');
SELECT holdfast.grant_access('holdfast_reader', 'reader');
SELECT holdfast.grant_access('holdfast_operator', 'operator');

-- Both organizations have rows everywhere.
SELECT o AS organization_id, holdfast.create_workflow(o, p_cost_limit => 1) AS workflow_id INTO TEMP sample
FROM unnest(ARRAY[:mine, :theirs]::uuid[]) o;
SELECT count(holdfast.set_budget(organization_id, 5, 'user', 'ann')), count(holdfast.grant_credits(organization_id, 'user:ann', 1000)),
       count(holdfast.create_api_key(organization_id, 'key')) FROM sample;
SELECT count(h.hold_id), count(r.ledger_id) FROM sample s,
    LATERAL holdfast.hold_workflow_cost(s.workflow_id, s.organization_id, 0.5, p_user_id => 'ann', p_ttl => '1 microsecond') h,
    LATERAL holdfast.record_usage_and_increment(s.workflow_id, s.organization_id, 'm', 1, 1, 0.25, p_user_id => 'ann') r;
SELECT count(*) FROM sample s, LATERAL holdfast.hold_workflow_cost(s.workflow_id, s.organization_id, 7) h WHERE NOT h.granted;
INSERT INTO holdfast.ai_audit_log (organization_id, audit_id, created_at, event)
SELECT organization_id, gen_random_uuid(), now(), 'settled' FROM sample;
SELECT count(holdfast.set_audit(organization_id)) FROM sample;
SELECT count(holdfast.set_organization_settings(organization_id, p_cache => 'asked')) FROM sample;
SELECT count(holdfast.keep_answer(organization_id, sha256('x'), gen_random_uuid(), 'openai', 'm', 1, 1, 'x')) FROM sample;
INSERT INTO holdfast.ai_cache_hits (organization_id, cache_key, slot, hits) SELECT organization_id, sha256('x'), 1, 1 FROM sample;
INSERT INTO holdfast.ai_cache_flights (organization_id, cache_key, flight_id, lease_until) SELECT organization_id, sha256('y'), gen_random_uuid(), now() FROM sample;
ALTER TABLE sample ADD COLUMN hold_id uuid, ADD COLUMN key_id uuid, ADD COLUMN entry_id uuid;
SELECT count(holdfast.write_off_call(h.hold_id, h.organization_id, 'test')) FROM holdfast.holds h JOIN sample s USING (organization_id);
SELECT count(h.hold_id) FROM sample s, LATERAL holdfast.hold_workflow_cost(s.workflow_id, s.organization_id, 0.5, p_ttl => '1 microsecond') h;
UPDATE sample s SET
    hold_id = (SELECT h.hold_id FROM holdfast.holds h WHERE h.organization_id = s.organization_id LIMIT 1),
    key_id = (SELECT k.api_key_id FROM holdfast.api_keys k WHERE k.organization_id = s.organization_id),
    entry_id = (SELECT l.id FROM holdfast.ai_usage_ledger l WHERE l.organization_id = s.organization_id);
ALTER TABLE sample ADD COLUMN run_id uuid;
SELECT count(d.workflow_id) FROM sample s, LATERAL holdfast.save_workflow_definition(s.organization_id, '{"name": "w", "steps": [{"id": "a", "input": {"prompt": "x"}}]}') d;
UPDATE sample SET run_id = (SELECT r.run_id FROM holdfast.start_run(organization_id, p_name => 'w') r);
ALTER TABLE sample ADD COLUMN batch_id uuid;
UPDATE sample SET batch_id = (SELECT b.batch_id FROM holdfast.start_run_batch(organization_id, '[{}]', p_name => 'w', p_max_cost => 1) b);
SELECT count(holdfast.record_run_outcome(run_id, organization_id, 'good')) FROM sample;
SELECT count(*) FROM holdfast.claim_step('w', '{openai}', '{gpt-4o-mini}', 2);
ALTER TABLE sample ADD COLUMN approval_id uuid DEFAULT gen_random_uuid();
INSERT INTO holdfast.ai_approvals (organization_id, approval_id, fingerprint, api_key_id, provider, model, prompt_tokens, completion_tokens,
                                   estimated_cost, threshold, created_at, expires_at)
SELECT organization_id, approval_id, 'x', key_id, 'openai', 'm', 1, 1, 2, 1, now(), now() + interval '1 hour' FROM sample;
SELECT count(holdfast.set_approval_threshold(organization_id, 1)) FROM sample;
ALTER TABLE sample ADD COLUMN alert_id uuid DEFAULT gen_random_uuid();
INSERT INTO holdfast.ai_cost_alerts (organization_id, id, alert_type, severity, day, message) SELECT organization_id, alert_id, 'drift', 'info', '2026-01-01', 'odd' FROM sample;
GRANT SELECT ON sample TO holdfast_app, holdfast_reader, holdfast_operator;

SELECT count(a.state) FROM sample s, LATERAL holdfast.advance_workflow(s.workflow_id, s.organization_id, 'CREATED', 'ICP_PENDING') a;
SELECT count(i.run_id) FROM sample s, LATERAL holdfast.create_intent_workflow(s.organization_id, '{"business": "x"}') w,
    LATERAL holdfast.start_intent_step(w.workflow_id, s.organization_id, 'icp-generate') i;

-- Every function has its place: in a profile, a trigger's, or internal and named here.
SELECT p.oid::regprocedure AS function_without_profile FROM pg_proc p
WHERE p.pronamespace = 'holdfast'::regnamespace AND p.prorettype <> 'trigger'::regtype
  AND NOT has_function_privilege('holdfast_operator', p.oid, 'EXECUTE')
  AND p.proname <> ALL ('{grant_access,profile_functions,ledger_horizon,ledger_entry_digest,ledger_seal_digest,
      ledger_seal_contents,ledger_seal_differences,period_start_of,ledger_by_counter,counter_figures,ledger_references,
      checked_advance,unchecked_budgets,check_cost_limit,period_start,check_limit,check_invoice_lines,price_change,store_price_proposal,compare_price_proposal,
      catalog_price,catalog_tier,catalog_batch_discount,catalog_provider,read_price_catalog,check_budget_subject,spent_in_period,
      share_out_limit,check_budget_figures,put_budget,put_default,apply_default,leave_budget,follow_plan,spent_by_subject,open_credit_account,lock_organization,replay_stored,run_attempts_figures,run_faults,check_graph_in_use,
      initial_workflow_state,workflow_faults,maintenance_lock,new_api_key,check_intent_request,find_intent_step,intent_step_definition,
      intent_step_input,lock_intent_workflow,refuse_intent_step,start_step_run,
      audit_id_floor,audit_month_table,make_audit_month,drop_audit_before,keep_audit_months,keep_tenants_apart}'::text[]);
-- Nobody else administers, and internal functions are nobody's.
SELECT r AS role, p.proname AS may_administer FROM unnest('{holdfast_app,holdfast_reader}'::text[]) r, pg_proc p
WHERE p.pronamespace = 'holdfast'::regnamespace AND has_function_privilege(r, p.oid, 'EXECUTE')
  AND p.proname <> ALL (holdfast.profile_functions('application'));

-- As PostgREST calls a function: with claims, by named parameters. Says what came of it.
CREATE FUNCTION pg_temp.attempt(p_role text, p_call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    PERFORM set_config('request.jwt.claims',
                       format('{"role": "%s", "organization_id": "7e000000-0000-0000-0000-000000000001"}', p_role), true);
    EXECUTE format('SET LOCAL ROLE %I', p_role);
    EXECUTE 'SELECT count(*) FROM ' || p_call INTO outcome;
    RAISE EXCEPTION USING ERRCODE = 'HF000', MESSAGE = outcome || ' rows';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE = 'HF000' THEN SQLERRM ELSE SQLSTATE END;
END $$;
-- Every function that takes an organization, called for the other one with that one's ids in all its parameters.
CREATE FUNCTION pg_temp.sample_value(p_name text, p_type oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE p_name
        WHEN 'p_organization_id' THEN '(SELECT organization_id FROM sample OFFSET 1)'
        WHEN 'p_workflow_id' THEN '(SELECT workflow_id FROM sample OFFSET 1)'
        WHEN 'p_replay_token' THEN '(SELECT run_id FROM sample OFFSET 1)'
        WHEN 'p_run_id' THEN '(SELECT run_id FROM sample OFFSET 1)'
        WHEN 'p_alert_id' THEN '(SELECT alert_id FROM sample OFFSET 1)'
        WHEN 'p_approval_id' THEN '(SELECT approval_id FROM sample OFFSET 1)'
        WHEN 'p_hold_id' THEN '(SELECT hold_id FROM sample OFFSET 1)'
        WHEN 'p_new_hold_id' THEN 'gen_random_uuid()'
        WHEN 'p_flight_id' THEN 'gen_random_uuid()'
        WHEN 'p_api_key_id' THEN '(SELECT key_id FROM sample OFFSET 1)'
        WHEN 'p_ledger_id' THEN '(SELECT entry_id FROM sample OFFSET 1)'
        WHEN 'p_account' THEN '''user:ann'''
        WHEN 'p_entries' THEN '''[{"model": "m", "prompt_tokens": 1, "completion_tokens": 1, "cost": 1}]'''
        WHEN 'p_batch_id' THEN '(SELECT batch_id FROM sample OFFSET 1)'
        WHEN 'p_inputs' THEN '''[{}]'''
        WHEN 'p_leases' THEN '''[]'''
        ELSE CASE p_type WHEN 'text'::regtype THEN '''gpt-4o-mini''' WHEN 'bytea'::regtype THEN 'sha256(''x'')'
                         WHEN 'jsonb'::regtype THEN '''{}''' WHEN 'timestamptz'::regtype THEN '(now() + interval ''1 hour'')' WHEN 'text[]'::regtype THEN '''{openai}''' ELSE '1' END END || '::' || p_type::regtype
$$;
CREATE TEMP TABLE calls AS
SELECT p.proname, format('holdfast.%I(%s)', p.proname, string_agg(
           format('%I => %s', a.name, pg_temp.sample_value(a.name, a.type)), ', ' ORDER BY a.place)) AS call
FROM pg_proc p, unnest(p.proargnames, string_to_array(p.proargtypes::text, ' ')::oid[]) WITH ORDINALITY a(name, type, place)
WHERE p.pronamespace = 'holdfast'::regnamespace AND p.prorettype <> 'trigger'::regtype
  AND 'p_organization_id' = ANY (p.proargnames) AND a.place <= p.pronargs
  AND (a.place <= p.pronargs - p.pronargdefaults OR a.name IN ('p_organization_id', 'p_workflow_id', 'p_hold_id'))
GROUP BY p.oid, p.proname;
SELECT r AS role, c.proname, pg_temp.attempt(r, c.call) AS outcome
FROM unnest('{holdfast_app,holdfast_reader,holdfast_operator}'::text[]) r, calls c
WHERE has_function_privilege(r, ('holdfast.' || c.proname)::regproc, 'EXECUTE') ORDER BY 1, 2;

-- Every function that takes none: what it does with the other's ids, or why it can do no harm.
CREATE TEMP TABLE others (proname text, call text);
INSERT INTO others VALUES
    ('check_workflow_cost_limit', 'holdfast.check_workflow_cost_limit((SELECT workflow_id FROM sample OFFSET 1), 0.1)'),
    ('increment_workflow_cost', 'holdfast.increment_workflow_cost((SELECT workflow_id FROM sample OFFSET 1), 0.1)'),
    ('current_organization', NULL), ('sees_every_organization', NULL), -- the caller's own
    ('normalize_model', NULL), ('calculate_cost', NULL), ('list_models', NULL), -- the price list
    ('heartbeat_steps', 'holdfast.heartbeat_steps(''w'', (SELECT ARRAY[organization_id] FROM sample OFFSET 1), (SELECT ARRAY[run_id] FROM sample OFFSET 1), ''{a}'', ''{1}'')'),
    ('check_definition', NULL), ('reap_run_steps', NULL), -- reads nothing; ends what has run out anyway
    ('tend_run_batches', NULL), -- moves on what goes on anyway
    ('expire_holds', NULL), -- ends what has run out anyway
    ('get_step_from_state', NULL), ('get_status_from_state', NULL), ('can_access_step', NULL), ('validate_workflow_graph', NULL), ('faults_of_used_graphs', NULL), ('intent_steps', NULL), -- the graphs and what is shipped
    ('remove_ended_tokens', NULL), ('expire_approvals', NULL), -- has ended anyway
    ('reap_workflow_leases', NULL), -- fails what nobody works on any more
    ('redact_text', NULL), -- reads nothing
    ('trim_cache', NULL), -- forgets what has expired anyway
    ('check_invariants', NULL), ('seal_ledger', NULL), ('verify_ledger', NULL), -- the operator's, of all organizations
    ('import_pricing', NULL), ('apply_price_proposal', NULL), ('reconcile_invoice', NULL), ('set_plan_budget', NULL), -- refused with such claims: budget_plans
    ('maintenance_duties', NULL), ('run_duty', NULL), ('run_maintenance', NULL),
    ('breaker_admit', NULL), ('breaker_report', NULL), ('breaker_give_back', NULL), -- providers are everybody's
    ('breakers', NULL), ('provider_latencies', NULL), ('pause_provider', NULL),
    ('get_rate_limits', NULL), ('rate_limit_memory', NULL), ('set_rate_limit', NULL), ('reset_rate_limit', NULL),
    ('reset_breaker', NULL),
    ('provider_uses', NULL), ('provider_fallbacks', NULL), ('get_telemetry', NULL);
SELECT DISTINCT p.proname AS function_without_a_test FROM pg_proc p
WHERE p.pronamespace = 'holdfast'::regnamespace AND has_function_privilege('holdfast_operator', p.oid, 'EXECUTE')
  AND p.proname NOT IN (SELECT proname FROM calls UNION ALL SELECT proname FROM others);
SELECT o.proname, pg_temp.attempt('holdfast_app', o.call) AS outcome FROM others o WHERE o.call IS NOT NULL;

-- Every table and view: the rows of another organization are not there, one's own are.
SELECT c.relname AS table_without_row_level_security FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'organization_id'
  AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'));
CREATE FUNCTION pg_temp.rows_of(p_relation regclass, p_role text, p_claims text, p_organization uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found_rows text;
BEGIN
    PERFORM set_config('request.jwt.claims', p_claims, true);
    EXECUTE format('SET LOCAL ROLE %I', p_role);
    EXECUTE format('SELECT (count(organization_id) > 0)::text FROM %s WHERE organization_id = %L', p_relation, p_organization) INTO found_rows;
    RAISE EXCEPTION USING ERRCODE = 'HF000', MESSAGE = found_rows;
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE = 'HF000' THEN SQLERRM ELSE SQLSTATE END;
END $$;
SELECT c.relname,
       pg_temp.rows_of(c.oid, 'holdfast_reader', '{"organization_id": "7e000000-0000-0000-0000-000000000001"}', :mine) AS own,
       pg_temp.rows_of(c.oid, 'holdfast_reader', '{"organization_id": "7e000000-0000-0000-0000-000000000001"}', :theirs) AS foreign,
       pg_temp.rows_of(c.oid, 'holdfast_reader', '', :mine) AS no_claims,
       pg_temp.rows_of(c.oid, 'holdfast_reader', '{"role": "service_role"}', :mine) AS false_service,
       pg_temp.rows_of(c.oid, 'holdfast_app', '{"organization_id": "7e000000-0000-0000-0000-000000000001"}', :mine) AS app,
       pg_temp.rows_of(c.oid, 'holdfast_operator', '', :theirs) AS operator,
       pg_temp.rows_of(c.oid, 'holdfast_operator', '{"organization_id": "7e000000-0000-0000-0000-000000000001"}', :theirs) AS bound_operator
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition ORDER BY 1;
-- What has no organization is the price list, the graphs, or not the reader's.
SELECT c.relname AS readable_without_organization FROM pg_class c
WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
  AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('holdfast_reader', c.oid, 'SELECT')
                     ELSE has_table_privilege('holdfast_reader', c.oid, 'SELECT') END
  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id') ORDER BY 1;
-- Nobody writes but through functions.
SELECT r AS role, c.relname AS writable FROM unnest('{holdfast_app,holdfast_reader,holdfast_operator}'::text[]) r, pg_class c
WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND (has_table_privilege(r, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') OR has_any_column_privilege(r, c.oid, 'INSERT, UPDATE')) ORDER BY 1, 2;

-- A function of the reader's own that is cheap to call does not see the rows that a view leaves out.
BEGIN;
CREATE FUNCTION public.spy(uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    IF $1 <> '7e000000-0000-0000-0000-000000000001' THEN
        RAISE EXCEPTION 'seen: a row of another organization';
    END IF;
    RETURN true;
END $$;
SET LOCAL ROLE holdfast_reader;
SET LOCAL request.jwt.claims = '{"organization_id": "7e000000-0000-0000-0000-000000000001"}';
SELECT count(*) > 0 AS own FROM holdfast.intent_workflows WHERE public.spy(organization_id);
SELECT count(*) > 0 AS own FROM holdfast.credit_balances WHERE public.spy(organization_id);
SELECT count(*) > 0 AS own FROM holdfast.credit_ledger WHERE public.spy(organization_id);
SELECT count(*) > 0 AS own FROM holdfast.ai_cost_ledger WHERE public.spy(organization_id);
SELECT count(*) > 0 AS own FROM holdfast.unresolved_calls WHERE public.spy(organization_id);
SELECT count(*) > 0 AS own FROM holdfast.ai_usage_ledger WHERE public.spy(organization_id);
ROLLBACK;
-- Claims that are no JSON object with a uuid name nobody.
SELECT claims, set_config('request.jwt.claims', claims, false) = claims AS set, holdfast.current_organization()
FROM unnest('{"{}","{\"organization_id\": \"x\"}","{\"organization_id\": null}","[]",""}'::text[]) claims;
RESET request.jwt.claims;
SELECT * FROM holdfast.check_invariants();
DROP OWNED BY holdfast_app, holdfast_reader, holdfast_operator;
DROP ROLE holdfast_app, holdfast_reader, holdfast_operator;
