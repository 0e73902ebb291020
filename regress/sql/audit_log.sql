-- The audit log: a row for each call that ended and each that was refused, found by its ids, page by page.
\set VERBOSITY terse
\set org '\'ad000000-0000-4000-8000-000000000001\''
\set other '\'ad000000-0000-4000-8000-000000000002\''
\set request '\'01900000-0000-7000-8000-0000000000a1\''
SELECT api_key, api_key_id FROM holdfast.create_api_key(:org, 'test', 'ada') \gset
SELECT sha256(:'api_key') AS hash \gset
CREATE FUNCTION pg_temp.meta(p_request uuid, p_correlation text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('requestId', p_request, 'correlationId', p_correlation, 'route', 'POST /api/ai/generate',
                              'routing', '{"strategy": "cheapest"}'::jsonb) $$;

-- A call that is settled; its repeat leaves no second row.
SELECT hold_id FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}',
    p_idempotency_key => 'one', p_fingerprint => 'x', p_request_id => :request, p_correlation_id => 'order-17') \gset
SELECT duplicate FROM generate_series(1, 2) n, LATERAL holdfast.settle_call(:org, CASE WHEN n > 0 THEN :'hold_id'::uuid END, 'gpt-4o-mini', 10, 5,
    p_answer_status => 200, p_answer => 'hi', p_metadata => pg_temp.meta(:request, 'order-17'), p_latency_ms => 123, p_fallback_used => true);
SELECT event, status, request_id, correlation_id, hold_id = :'hold_id' AS hold, user_id, api_key_id = :'api_key_id' AS key, route, provider,
       model, prompt_tokens, completion_tokens, cost, latency_ms, fallback_used, routing, detail, request_body, response_body
FROM holdfast.get_audit_log(:org, p_request_id => :request);

-- A repeat, one that is released, an attempt that failed and the one that followed it.
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}',
    p_idempotency_key => 'one', p_fingerprint => 'x', p_correlation_id => 'order-18');
SELECT hold_id FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}') \gset
SELECT holdfast.release_call(:org, :'hold_id', p_metadata => pg_temp.meta(:request, :request), p_answer_status => 502) FROM generate_series(1, 2);
SELECT hold_id FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}') \gset
SELECT cost FROM generate_series(1, 2) n, LATERAL holdfast.next_attempt(:org, CASE WHEN n > 0 THEN :'hold_id'::uuid END, :request, 'groq', 'llama-3.3-70b', 10, 10,
    p_used_prompt_tokens => 10, p_used_completion_tokens => 0, p_metadata => '{"failedAttempts": [{"class": "timeout"}]}');
SELECT cost > 0 AS charged FROM holdfast.settle_call(:org, :request, 'llama-3.3-70b', 10, 5, p_metadata => '{"failedAttempts": [{"class": "timeout"}]}');

-- What is refused: over budget, by a limit, by an error that is told afterwards.
SELECT holdfast.set_budget(:org, 0.000001);
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}', p_route => 'POST /v1', p_correlation_id => 'poor');
SELECT holdfast.set_rate_limit('user', 1);
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}', p_ip => '192.0.2.1', p_correlation_id => 'fast');
SELECT holdfast.reset_rate_limit('user'), holdfast.remove_budget(:org);
SELECT holdfast.record_refusal(:org, :'hash', 422, 'model_not_priced', p_correlation_id => 'odd', p_model => 'none');
SELECT holdfast.record_refusal(:org, sha256('unknown'), 422, 'model_not_priced');
SELECT event, status, correlation_id, provider, model, cost > 0 AS charged, detail - 'retryAfterMs' AS detail
FROM holdfast.get_audit_log(:org) ORDER BY audit_id;

-- By every id, and nobody else's.
SELECT count(*) FROM holdfast.get_audit_log(:org, p_correlation_id => 'order-17');
SELECT count(*) FROM holdfast.get_audit_log(:org, p_hold_id => :request);
SELECT count(*) FROM holdfast.get_audit_log(:org, 'settled', p_provider => 'groq', p_user_id => 'ada');
SELECT count(*) FROM holdfast.get_audit_log(:org, p_request_id => :request, p_event => 'released');
SELECT (SELECT count(*) FROM holdfast.get_audit_log(:org, p_run_id => :request)) AS runs,
       (SELECT count(*) FROM holdfast.get_audit_log(:org, p_replay_token => :request)) AS replays;
SELECT count(*) FROM holdfast.get_audit_log(:other, p_request_id => :request);
SELECT holdfast.get_audit_log(:org, p_limit => 0);

-- Pages do not overlap and leave nothing out; times bound them.
SELECT min(created_at) AS first_at, max(created_at) AS last_at, count(*) AS rows FROM holdfast.get_audit_log(:org) \gset
WITH RECURSIVE pages AS (
    SELECT 1 AS page, array_agg(audit_id) AS ids FROM holdfast.get_audit_log(:org, p_limit => 3)
    UNION ALL
    SELECT page + 1, (SELECT array_agg(audit_id) FROM holdfast.get_audit_log(:org, p_after => ids[cardinality(ids)], p_limit => 3))
    FROM pages WHERE ids IS NOT NULL)
SELECT count(*) = count(DISTINCT id) AS apart, count(*) = :rows AS complete FROM pages, unnest(ids) id;
SELECT count(*) = :rows AS from_first FROM holdfast.get_audit_log(:org, p_from => :'first_at');
SELECT count(*) FROM holdfast.get_audit_log(:org, p_to => :'first_at');
SELECT count(*) FROM holdfast.get_audit_log(:org, p_from => :'last_at');
SELECT count(*) = :rows - 1 AS before_last FROM holdfast.get_audit_log(:org, p_to => :'last_at');

-- Runs: what happened to them, what their steps cost, who approved.
SELECT count(*) FROM holdfast.save_workflow_definition(:org, '{"name": "w", "version": "1", "steps": [
    {"id": "draft", "model": "gpt-4o-mini", "approval": true, "input": {"prompt": "x", "maxTokens": 10}, "retry": {"maxAttempts": 2, "delayMs": 0}}]}');
SELECT run_id FROM holdfast.start_run(:org, p_name => 'w', p_user_id => 'ada') \gset
SELECT replay_token FROM holdfast.workflow_runs WHERE organization_id = :org AND run_id = :'run_id' \gset
SELECT holdfast.approve_step(:'run_id', :org, 'draft', true, 'eve', 'fine', 'owner');
SELECT fence FROM holdfast.claim_step('audit-1', '{openai}') WHERE run_id = :'run_id' \gset
SELECT step_status FROM holdfast.fail_step(:org, :'run_id', 'draft', :fence, 'overloaded', 'busy', p_transient => true);
SELECT fence FROM holdfast.claim_step('audit-1', '{openai}') WHERE run_id = :'run_id' \gset
SELECT run_status FROM holdfast.complete_step(:org, :'run_id', 'draft', :fence, 'text', 10, 5, p_latency_ms => 77);
SELECT event, step_id, user_id, provider, model, prompt_tokens, completion_tokens, cost, latency_ms, hold_id IS NOT NULL AS hold, detail
FROM holdfast.get_audit_log(:org, p_run_id => :'run_id') ORDER BY audit_id;
SELECT count(*) FROM holdfast.get_audit_log(:org, p_replay_token => :'replay_token', p_step_id => 'draft');

-- Approvals of calls: that one waits, at every repeat, who decided, and what nobody decided on or used in time.
CREATE FUNCTION pg_temp.dear(p_print text, p_correlation text, p_approval uuid DEFAULT NULL) RETURNS TABLE (outcome text, approval_id uuid) LANGUAGE sql AS $$
    SELECT o.outcome, o.approval_id FROM holdfast.open_call('ad000000-0000-4000-8000-000000000001', current_setting('test.hash')::bytea, 'gpt-4o-mini', 1000, 1000,
        p_provider => 'openai', p_route => 'POST /v1', p_approve_above => 0.0001, p_fingerprint => p_print::bytea, p_request_id => '01900000-0000-7000-8000-0000000000a1',
        p_correlation_id => p_correlation, p_approval_id => p_approval) o $$;
SELECT set_config('test.hash', :'hash', false) IS NOT NULL AS set;
CREATE TEMP TABLE dear AS SELECT n AS name, d.approval_id FROM unnest('{given,refused,forgotten}'::text[]) n, pg_temp.dear(n, n || '-1') d;
SELECT outcome FROM dear a, pg_temp.dear(a.name, 'given-2', a.approval_id) d WHERE name = 'given';
SELECT status FROM dear, holdfast.approve_call(approval_id, :org, 'eve', 'worth it', 'owner') WHERE name = 'given';
SELECT status FROM dear, holdfast.refuse_call(approval_id, :org, 'eve', 'too dear', 'owner') WHERE name = 'refused';
SELECT outcome FROM dear a, pg_temp.dear(a.name, 'refused-2', a.approval_id) d WHERE name = 'refused';
UPDATE holdfast.ai_approvals SET expires_at = now() - interval '1 second' WHERE organization_id = :org;
SELECT holdfast.expire_approvals() > 1 AS expired;
SELECT name, (SELECT status FROM holdfast.ai_approvals a WHERE a.organization_id = :org AND a.approval_id = d.approval_id) FROM dear d ORDER BY name;
SELECT correlation_id, event, status, request_id IS NOT NULL AS request, user_id, api_key_id = :'api_key_id' AS key, route, provider, model,
       detail - 'approvalId' AS detail, (SELECT name FROM dear d WHERE d.approval_id = (l.detail ->> 'approvalId')::uuid)
FROM holdfast.get_audit_log(:org) l WHERE event LIKE 'approval.%' ORDER BY correlation_id, audit_id;
SELECT outcome FROM dear a, pg_temp.dear(a.name, 'forgotten-2', a.approval_id) d WHERE name = 'forgotten';
SELECT holdfast.expire_approvals(0);
-- What kept a call from being made is on record without an audit too.
SELECT holdfast.set_audit(:org, false);
SELECT count(*) AS before FROM holdfast.get_audit_log(:org) \gset
SELECT approval_id FROM pg_temp.dear('unheard', 'unheard') \gset
SELECT count(*) - :before AS more FROM holdfast.get_audit_log(:org);
SELECT status FROM holdfast.refuse_call(:'approval_id', :org, 'eve', NULL, 'owner');
SELECT count(*) - :before AS more FROM holdfast.get_audit_log(:org);
SELECT holdfast.set_audit(:org, true);

-- Off: only refusals are kept. A gateway may leave its calls out as well.
SELECT holdfast.set_audit(:other, false), holdfast.set_audit(:other, true, 'everything');
SELECT holdfast.set_audit(:other, false);
SELECT api_key FROM holdfast.create_api_key(:other, 'test') \gset
SELECT sha256(:'api_key') AS hash \gset
SELECT hold_id FROM holdfast.open_call(:other, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}') \gset
SELECT holdfast.release_call(:other, :'hold_id');
SELECT holdfast.record_refusal(:other, :'hash', 403, 'model_not_allowed');
SELECT holdfast.set_audit(:other);
SELECT hold_id FROM holdfast.open_call(:other, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}') \gset
SELECT holdfast.release_call(:other, :'hold_id', p_metadata => '{"audit": false}');
SELECT hold_id FROM holdfast.open_call(:other, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}') \gset
SELECT holdfast.release_call(:other, :'hold_id');
SELECT event FROM holdfast.get_audit_log(:other) ORDER BY audit_id;

-- Bodies: off, redacted, or full, as the organization wishes; who opens a call is told.
CREATE FUNCTION pg_temp.bodies(p_bodies text) RETURNS TABLE (keeps_bodies boolean, request_body text, response_body text)
    LANGUAGE plpgsql AS $$
DECLARE
    opened record;
BEGIN
    PERFORM holdfast.set_audit('ad000000-0000-4000-8000-000000000002', true, p_bodies);
    SELECT * INTO opened FROM holdfast.open_call('ad000000-0000-4000-8000-000000000002', current_setting('audit.hash')::bytea, 'gpt-4o-mini', 10, 10,
        p_providers => '{openai}');
    PERFORM holdfast.settle_call('ad000000-0000-4000-8000-000000000002', opened.hold_id, 'gpt-4o-mini', 10, 5, p_answer_status => 200,
        p_answer => '{"content": "write to ann@example.com"}', p_request => '{"prompt": "my number is 078-05-1120"}', p_metadata => '{}');
    RETURN QUERY SELECT opened.keeps_bodies, l.request_body, l.response_body
        FROM holdfast.get_audit_log('ad000000-0000-4000-8000-000000000002', p_hold_id => opened.hold_id) l;
END $$;
SELECT set_config('audit.hash', :'hash', false) IS NOT NULL AS known;
SELECT b.* FROM unnest('{off,redacted,full,off}'::text[]) kept, LATERAL pg_temp.bodies(kept) b;

-- Months: what is made, where rows go, what is dropped; nobody changes a row.
SELECT tableoid::regclass AS place, count(*) > 0 AS rows FROM holdfast.ai_audit_log WHERE organization_id = :org GROUP BY 1;
SELECT holdfast.make_audit_month(current_date), holdfast.make_audit_month('2001-02-03'), holdfast.make_audit_month('2001-02-28');
SELECT c.relrowsecurity, count(t.tgname), count(DISTINCT i.indexrelid) FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
JOIN pg_index i ON i.indrelid = c.oid WHERE c.oid = 'holdfast.ai_audit_log_200102'::regclass GROUP BY 1;
INSERT INTO holdfast.ai_audit_log (organization_id, audit_id, created_at, event)
SELECT :other, holdfast.audit_id_floor(t), t, 'old' FROM unnest('{2001-02-28 23:59:59.999999+00,2001-03-01 00:00:00+00}'::timestamptz[]) t
RETURNING tableoid::regclass, audit_id;
UPDATE holdfast.ai_audit_log SET event = 'other';
DELETE FROM holdfast.ai_audit_log_200102;
TRUNCATE holdfast.ai_audit_log_rest;
SELECT holdfast.drop_audit_before('2001-02-28 23:59:59+00');
SELECT holdfast.drop_audit_before('2001-03-01 00:00:00+00');
SELECT event FROM holdfast.get_audit_log(:other, p_to => '2002-01-01');
BEGIN;
SELECT holdfast.drop_audit_before('infinity') > 0 AS dropped;
SELECT count(*) FROM holdfast.ai_audit_log;
ROLLBACK;
-- A month of its own takes what comes after it was made.
BEGIN;
SELECT holdfast.drop_audit_before('infinity') > 0 AS dropped, holdfast.make_audit_month(now()::date) AS made;
SELECT holdfast.record_refusal(:other, :'hash', 403, 'model_not_allowed');
SELECT tableoid::regclass::text = 'holdfast.' || holdfast.audit_month_table(now()::date) AS in_its_month FROM holdfast.ai_audit_log;
ROLLBACK;
SELECT holdfast.record_refusal(:other, :'hash', 403, 'model_not_allowed');
SELECT tableoid::regclass AS place, count(*) FROM holdfast.ai_audit_log WHERE organization_id = :other AND event = 'refused' GROUP BY 1;
SELECT * FROM holdfast.check_invariants();
