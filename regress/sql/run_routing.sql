-- A step's way through providers: its own, those that stand in, and waiting while none can serve it.
\set VERBOSITY terse
\set org '\'f7000000-0000-0000-0000-000000000011\''
SELECT holdfast.set_budget(:org, 100) = :org AS budget;
CREATE TEMP TABLE definitions AS SELECT '{"name": "icp", "steps": [
    {"id": "a", "provider": "perplexity", "model": "sonar", "fallback": [{"model": "gpt-4o-mini"}, {"provider": "groq"}],
     "retry": {"maxAttempts": 2, "delayMs": 0}, "input": {"prompt": "who", "maxTokens": 700}}]}'::jsonb AS icp;
CREATE FUNCTION pg_temp.claimed(providers text[]) RETURNS TABLE (fence bigint, provider text, model text, fallback_used boolean, reason text)
    LANGUAGE sql AS $$ SELECT fence, provider, model, fallback_used, routing ->> 'reason' FROM holdfast.claim_step('w', providers, '{x,gpt-4o-mini,llama-3.3-70b}') $$;
CREATE FUNCTION pg_temp.calls(provider text) RETURNS TABLE (calls integer, failure_rate numeric)
    LANGUAGE sql AS $$ SELECT b.calls, round(b.failure_rate::numeric, 2) FROM holdfast.breakers() b WHERE b.provider = $1 $$;
SELECT holdfast.reset_breaker(p) IS NOT NULL AS reset FROM unnest('{perplexity,openai,groq}'::text[]) p;

-- Tried again at its own provider, then handed on to the next, and to the last; each charged attempt has its entry.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp FROM definitions)) \gset
SELECT * FROM pg_temp.claimed('{perplexity,openai,groq}');
SELECT accepted, step_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'overloaded', 'busy', true, p_provider_ok => false, p_latency_ms => 20);
SELECT * FROM pg_temp.claimed('{perplexity,openai,groq}');
SELECT accepted, step_status, cost > 0 AS charged FROM holdfast.fail_step(:org, :'run', 'a', 2, 'timeout', 'late', true, p_prompt_tokens => 10, p_completion_tokens => 100, p_provider_ok => false, p_latency_ms => 20);
SELECT * FROM pg_temp.calls('perplexity');
SELECT * FROM pg_temp.claimed('{perplexity,openai,groq}');
-- A wait that is longer than the next provider is worth.
SELECT accepted, step_status FROM holdfast.fail_step(:org, :'run', 'a', 3, 'rate_limit', 'later', true, 5000, p_provider_ok => true, p_latency_ms => 5);
SELECT * FROM pg_temp.claimed('{perplexity,openai,groq}');
SELECT accepted, step_status, run_status FROM holdfast.complete_step(:org, :'run', 'a', 4, 'found', 10, 100, p_latency_ms => 30);
SELECT event, detail ->> 'code' AS code, detail ->> 'provider' AS provider FROM holdfast.get_run_events(:'run', :org);
SELECT provider, model, fallback_used, cost > 0 AS charged, metadata -> 'routing' ->> 'reason' AS reason FROM holdfast.ai_usage_ledger WHERE organization_id = :org ORDER BY id;
SELECT s ->> 'provider' AS provider, s ->> 'fallbackUsed' AS fallback_used, total_cost_usd = (SELECT sum(cost) FROM holdfast.ai_usage_ledger WHERE organization_id = :org) AS total
FROM holdfast.get_run(:'run', :org), jsonb_array_elements(steps) s;

-- What only another provider may mend is not tried again; what none may mend fails the step.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp FROM definitions)) \gset
SELECT * FROM pg_temp.claimed('{perplexity,openai}');
SELECT step_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'auth', 'no key', p_elsewhere => true);
SELECT * FROM pg_temp.claimed('{perplexity,openai}');
SELECT step_status, run_status FROM holdfast.fail_step(:org, :'run', 'a', 2, 'bad_request', 'no');
-- A worker that serves none of its providers leaves it alone; with no other that is active there is nothing to hand on to.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp #- '{steps,0,fallback,0}' FROM definitions)) \gset
SELECT * FROM pg_temp.claimed('{mistral}');
SELECT * FROM pg_temp.claimed('{perplexity}');
SELECT step_status, run_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'auth', 'no key', p_elsewhere => true);

-- A provider that is paused, or whose breaker is open, is passed over.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp FROM definitions)) \gset
SELECT holdfast.pause_provider('perplexity', '1 minute', 'quota_exhausted') > now() AS paused;
SELECT count(holdfast.breaker_report('openai', false, 10)) AS reports FROM generate_series(1, 20);
SELECT * FROM pg_temp.claimed('{perplexity,openai,groq}');
SELECT step_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'overloaded', 'busy', true);
-- While none can serve it, it waits.
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{perplexity,openai}');
UPDATE holdfast.workflow_run_steps SET ready_at = now() WHERE organization_id = :org AND run_id = :'run';
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{perplexity,openai}');
SELECT event, detail ->> 'code' AS code FROM holdfast.get_run_events(:'run', :org, 4);
SELECT status, ready_at > now() AS waits FROM holdfast.workflow_run_steps WHERE organization_id = :org AND run_id = :'run';
DELETE FROM holdfast.provider_pauses;
SELECT holdfast.reset_breaker('openai');
UPDATE holdfast.workflow_run_steps SET ready_at = now() WHERE organization_id = :org AND run_id = :'run';
SELECT * FROM pg_temp.claimed('{perplexity,openai}');
SELECT run_status FROM holdfast.complete_step(:org, :'run', 'a', 2, 'x', 1, 1);

-- The provider's rate limit lets it wait, and blames nobody.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp FROM definitions)) \gset
SELECT holdfast.set_rate_limit('provider', 0);
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{perplexity}');
SELECT detail ->> 'message' AS message FROM holdfast.get_run_events(:'run', :org) WHERE event = 'step.delayed';
SELECT count(*) AS denials FROM holdfast.get_audit_log(:org, 'limited');
SELECT holdfast.reset_rate_limit('provider');
SELECT status FROM holdfast.cancel_run(:'run', :org);

-- A key's bounds hold for the runs that it begins.
SELECT api_key_id AS key FROM holdfast.create_api_key(:org, 'bound', p_allowed_models => '{gpt-4o-mini}') \gset
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp FROM definitions), p_api_key_id => :'key') \gset
SELECT * FROM pg_temp.claimed('{perplexity,openai,groq}');
SELECT run_status FROM holdfast.complete_step(:org, :'run', 'a', 1, 'x', 1, 1);
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => (SELECT icp #- '{steps,0,fallback}' FROM definitions), p_api_key_id => :'key') \gset
SELECT count(*) AS claimed FROM holdfast.claim_step('w', '{perplexity,openai}');
SELECT status, error FROM holdfast.get_run(:'run', :org);

-- A step that leaves its provider open goes to the cheapest, and to at most two others.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => '{"name": "open", "steps": [{"id": "a", "input": {"prompt": "x"}}]}') \gset
CREATE FUNCTION pg_temp.any_of() RETURNS TABLE (fence bigint, provider text, model text, fallback_used boolean) LANGUAGE sql AS $$
    SELECT fence, provider, model, fallback_used FROM holdfast.claim_step('w', '{mistral,groq,openai,cohere}', '{mistral-large,llama-3.3-70b,gpt-4o-mini,command-r}') $$;
SELECT * FROM pg_temp.any_of();
SELECT step_status FROM holdfast.fail_step(:org, :'run', 'a', 1, 'network', 'x', true);
SELECT * FROM pg_temp.any_of();
SELECT step_status FROM holdfast.fail_step(:org, :'run', 'a', 2, 'network', 'x', true);
SELECT * FROM pg_temp.any_of();
SELECT step_status, run_status FROM holdfast.fail_step(:org, :'run', 'a', 3, 'network', 'x', true);

-- Faults of definitions.
SELECT holdfast.check_definition(jsonb_set((SELECT icp FROM definitions), '{steps,0,fallback}', '[{}]'));
SELECT holdfast.check_definition(jsonb_set((SELECT icp FROM definitions), '{steps,0,fallback}', '["gpt-4o-mini"]'));
SELECT holdfast.check_definition(jsonb_set((SELECT icp FROM definitions), '{steps,0,fallback}', '[{"provider": "Bad name"}]'));
SELECT holdfast.check_definition(jsonb_set((SELECT icp FROM definitions), '{steps,0,fallback}', (SELECT jsonb_agg('{"model": "m"}'::jsonb) FROM generate_series(1, 6))));
SELECT holdfast.reset_breaker(p) IS NOT NULL AS reset FROM unnest('{perplexity,openai,groq,mistral,cohere}'::text[]) p;
SELECT count(*) AS open_holds FROM holdfast.holds WHERE organization_id = :org AND status = 'open';
SELECT * FROM holdfast.check_invariants();
