-- Who may use what. Nothing is granted to PUBLIC.

CREATE FUNCTION profile_functions(p_profile text) RETURNS text[]
    LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_profile
        WHEN 'reader' THEN reading
        WHEN 'application' THEN reading || calling
        WHEN 'operator' THEN reading || calling || administering END
    FROM (VALUES (
        '{require_organization,current_organization,sees_every_organization,normalize_model,calculate_cost,list_models,
          redact_text,get_organization_settings,get_cache,
          get_budgets,get_organization_monthly_ai_cost,list_approvals,get_cost_alerts,breakers,provider_latencies,get_rate_limits,
          rate_limit_memory,provider_uses,provider_fallbacks,get_telemetry,get_audit_log,
          check_definition,list_workflow_definitions,get_run,list_runs,get_run_batch,list_run_batches,
          list_run_batch_results,get_run_events,get_variant_results,
          get_step_from_state,get_status_from_state,can_access_step,validate_workflow_graph,faults_of_used_graphs,workflow_overview,
          intent_steps,get_intent_workflow}'::text[],
        '{authenticate_key,open_call,approve_call,refuse_call,cached_call,keep_answer,extend_flight,end_flight,settle_call,next_attempt,retry_attempt,release_call,record_refusal,pause_provider,create_workflow,
          check_workflow_cost_limit,hold_workflow_cost,release_hold,extend_hold,expire_holds,record_usage_and_increment,record_usage_batch,
          increment_workflow_cost,breaker_admit,breaker_report,breaker_give_back,check_rate_limit,save_workflow_definition,start_run,
          start_run_batch,tend_run_batches,cancel_run_batch,
          claim_step,complete_step,fail_step,heartbeat_steps,cancel_run,approve_step,reap_run_steps,
          record_run_outcome,replay_run,
          advance_workflow,claim_workflow_step,heartbeat,reap_workflow_leases,cancel_workflow,
          create_intent_workflow,start_intent_step,review_intent_seeds}'::text[],
        '{check_invariants,seal_ledger,verify_ledger,set_budget,remove_budget,set_plan_budget,set_organization_plan,set_organization_settings,clear_cache,trim_cache,refund_usage,grant_credits,create_api_key,
          revoke_api_key,rotate_api_key,register_token,remove_ended_tokens,expire_approvals,write_off_call,import_pricing,apply_price_proposal,reconcile_invoice,
          maintenance_duties,run_duty,run_maintenance,set_rate_limit,reset_rate_limit,reset_breaker,set_audit,set_approval_threshold,resolve_cost_alert}'::text[]
    )) f(reading, calling, administering)
$$;
COMMENT ON FUNCTION profile_functions(text) IS
'The functions that a profile may call; NULL for an unknown profile. What is in none of them is internal.';

CREATE FUNCTION grant_access(p_role text, p_profile text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    functions text;
    tables text;
BEGIN
    IF holdfast.profile_functions(p_profile) IS NULL THEN
        RAISE EXCEPTION 'There is no profile "%".', p_profile
            USING ERRCODE = 'PT400', HINT = 'Profiles are application, reader and operator.';
    END IF;
    IF to_regrole(quote_ident(p_role)) IS NULL THEN
        RAISE EXCEPTION 'There is no role "%".', p_role USING ERRCODE = 'PT404', HINT = 'Make it with CREATE ROLE.';
    END IF;
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO functions FROM pg_proc p
    WHERE p.pronamespace = 'holdfast'::regnamespace AND p.proname = ANY (holdfast.profile_functions(p_profile));
    EXECUTE format('GRANT USAGE ON SCHEMA holdfast TO %I', p_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', functions, p_role);
    IF p_profile = 'application' THEN
        RETURN;
    END IF;
    -- Answers to clients and hashes of keys are nobody's to read; bookkeeping of checks is the operator's.
    SELECT string_agg(c.oid::regclass::text, ', ') INTO tables FROM pg_class c
    WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND c.relname NOT IN ('idempotent_calls', 'api_keys', 'ai_cache')
      AND (p_profile = 'operator' OR c.relname IN ('ai_provider_pricing', 'workflow_states', 'workflow_transitions') OR c.relname NOT LIKE 'checked\_%' AND EXISTS (
           SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'));
    EXECUTE format('GRANT SELECT ON %s TO %I', tables, p_role);
    EXECUTE format('GRANT SELECT (organization_id, api_key_id, name, user_id, role, created_at, expires_at, revoked_at,'
                   ' allowed_models, allowed_providers, requests_per_minute, tokens_per_minute, replaced_by, is_token)'
                   ' ON holdfast.api_keys TO %I', p_role);
    IF p_profile = 'operator' THEN
        EXECUTE format('GRANT INSERT ON holdfast.ai_provider_pricing TO %I', p_role);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON holdfast.workflow_states, holdfast.workflow_transitions TO %I', p_role);
    END IF;
END $$;
COMMENT ON FUNCTION grant_access(text, text) IS
'Grants a role what its profile needs. application: hold, settle and check for the organizations it serves; no table. reader: SELECT on views and tables, of which it sees the rows of the organization that its claims name. operator: what both may, and administration, for all organizations. Call it again after an upgrade. Raises PT400 for an unknown profile, PT404 for an unknown role.';

-- Every table that belongs to tenants, also one that an upgrade has made, shows each role its organization's rows.
DO $$
DECLARE
    tenant_table regclass;
BEGIN
    FOR tenant_table IN
        SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'organization_id'
          AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant')
    LOOP
        PERFORM holdfast.keep_tenants_apart(tenant_table);
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA holdfast FROM PUBLIC;
