-- A call whose estimate is above the threshold waits for an admin's word, and is then made once.
\set VERBOSITY terse
\set org '\'a9000000-0000-0000-0000-000000000001\''
\set other '\'a9000000-0000-0000-0000-000000000002\''
SELECT sha256(convert_to(api_key, 'UTF8')) AS hash FROM holdfast.create_api_key(:org, 'test') \gset
CREATE TEMP TABLE asked (name text PRIMARY KEY, approval_id uuid, hold_id uuid);
-- gpt-4o-mini, 1000 + 1000 tokens: 0.00075 USD at most.
CREATE FUNCTION pg_temp.call(fingerprint text, approval uuid DEFAULT NULL, above numeric DEFAULT 0.0005, key text DEFAULT NULL,
                             tokens integer DEFAULT 1000, workflow uuid DEFAULT NULL, sizing text DEFAULT 'strict') RETURNS SETOF record LANGUAGE sql AS
    $$ SELECT o.outcome, o.estimated_cost, o.approval_threshold, o.approval_id, o.hold_id, o.answer, o.expires_at
       FROM holdfast.open_call('a9000000-0000-0000-0000-000000000001', current_setting('test.hash')::bytea, 'gpt-4o-mini', tokens, tokens,
            p_provider => 'openai', p_workflow_id => workflow, p_idempotency_key => key, p_fingerprint => sha256(fingerprint::bytea),
            p_approve_above => above, p_approval_id => approval, p_sizing => sizing) o $$;
SELECT set_config('test.hash', :'hash', false) IS NOT NULL AS set;
\set columns 'AS c(outcome text, estimated_cost numeric, threshold numeric, approval_id uuid, hold_id uuid, answer text, expires_at timestamptz)'

-- Up to the threshold a call is made; above, nothing is held, and whoever asks again waits for the same approval.
SELECT outcome, estimated_cost, threshold, approval_id FROM pg_temp.call('a', above => 0.00075) :columns;
SELECT outcome, estimated_cost, threshold, hold_id, expires_at > now() + interval '23 hours' AS lasts FROM pg_temp.call('a') :columns;
INSERT INTO asked SELECT 'a', approval_id FROM pg_temp.call('a') :columns;
SELECT count(*) AS approvals, count(DISTINCT approval_id) AS ids FROM holdfast.ai_approvals WHERE organization_id = :org;
SELECT outcome, c.approval_id = a.approval_id AS same FROM asked a, pg_temp.call('a', a.approval_id) :columns WHERE name = 'a';
SELECT status, estimated_cost, threshold, provider, model, prompt_tokens, completion_tokens FROM holdfast.list_approvals(:org);

-- Who decides.
SELECT holdfast.approve_call(approval_id, :org, 'bob', NULL, 'member') FROM asked WHERE name = 'a';
SELECT holdfast.approve_call(approval_id, :other, 'ada', NULL, 'admin') FROM asked WHERE name = 'a';
SELECT holdfast.approve_call('a9000000-0000-0000-0000-0000000000ff', :org);
SELECT status, expires_at > now() + interval '23 hours' AS lasts FROM asked, holdfast.approve_call(approval_id, :org, 'ada', 'it is worth it', 'admin') WHERE name = 'a';
SELECT status FROM asked, holdfast.approve_call(approval_id, :org, 'ada') WHERE name = 'a';
SELECT status FROM asked, holdfast.refuse_call(approval_id, :org, 'ada') WHERE name = 'a';

-- The approval is for that very request, and for no more than was approved.
SELECT outcome FROM asked a, pg_temp.call('another', a.approval_id) :columns WHERE name = 'a';
SELECT holdfast.create_workflow(:org) AS workflow \gset
SELECT outcome FROM asked a, pg_temp.call('a', a.approval_id, workflow => :'workflow') :columns WHERE name = 'a';
SELECT outcome FROM asked a, pg_temp.call('a', a.approval_id, tokens => 1001) :columns WHERE name = 'a';

-- Made once: a second is in flight, then gets the same answer, also long after.
UPDATE asked SET hold_id = c.hold_id FROM pg_temp.call('a', (SELECT approval_id FROM asked WHERE name = 'a')) :columns WHERE name = 'a' RETURNING c.outcome;
SELECT outcome, c.hold_id FROM asked a, pg_temp.call('a', a.approval_id) :columns WHERE name = 'a';
SELECT outcome FROM asked a, pg_temp.call('a', a.approval_id, key => 'mine') :columns WHERE name = 'a';
SELECT cost FROM asked, holdfast.settle_call(:org, hold_id, 'gpt-4o-mini', 900, 500, p_answer_status => 200, p_answer => 'said') WHERE name = 'a';
UPDATE holdfast.ai_approvals SET expires_at = now() WHERE organization_id = :org;
SELECT outcome, answer FROM asked a, pg_temp.call('a', a.approval_id) :columns WHERE name = 'a';
SELECT status, decided_by, reason FROM holdfast.list_approvals(:org);
-- The same request without it is another call.
SELECT outcome, c.approval_id <> a.approval_id AS another FROM asked a, pg_temp.call('a') :columns WHERE name = 'a';

-- A call that charged nothing may be made again; one under the caller's own key is made under that.
INSERT INTO asked SELECT 'b', approval_id FROM pg_temp.call('b', key => 'mine') :columns;
SELECT count(*) AS claimed FROM holdfast.idempotent_calls WHERE organization_id = :org AND idempotency_key = 'mine';
SELECT status FROM asked, holdfast.approve_call(approval_id, :org) WHERE name = 'b';
UPDATE asked SET hold_id = c.hold_id FROM pg_temp.call('b', (SELECT approval_id FROM asked WHERE name = 'b'), key => 'mine') :columns WHERE name = 'b' RETURNING c.outcome;
SELECT holdfast.release_call(:org, hold_id) FROM asked WHERE name = 'b';
SELECT outcome FROM asked a, pg_temp.call('b', a.approval_id, key => 'other') :columns WHERE name = 'b';
UPDATE asked SET hold_id = c.hold_id FROM pg_temp.call('b', (SELECT approval_id FROM asked WHERE name = 'b'), key => 'mine') :columns WHERE name = 'b' RETURNING c.outcome;
SELECT holdfast.release_call(:org, hold_id) FROM asked WHERE name = 'b';
UPDATE holdfast.ai_approvals SET expires_at = now() WHERE organization_id = :org;
SELECT outcome FROM asked a, pg_temp.call('b', a.approval_id, key => 'mine') :columns WHERE name = 'b';

-- Refused, and run out.
INSERT INTO asked SELECT 'c', approval_id FROM pg_temp.call('c') :columns;
SELECT status FROM asked, holdfast.refuse_call(approval_id, :org, 'ada', 'too dear', 'owner') WHERE name = 'c';
SELECT outcome FROM asked a, pg_temp.call('c', a.approval_id) :columns WHERE name = 'c';
INSERT INTO asked SELECT 'd', approval_id FROM pg_temp.call('d') :columns;
UPDATE holdfast.ai_approvals SET expires_at = now() WHERE organization_id = :org;
SELECT outcome FROM asked a, pg_temp.call('d', a.approval_id) :columns WHERE name = 'd';
SELECT status FROM asked, holdfast.approve_call(approval_id, :org) WHERE name = 'd';
SELECT outcome, c.approval_id <> a.approval_id AS another FROM asked a, pg_temp.call('d') :columns WHERE name = 'd';
SELECT status, count(*) FROM holdfast.list_approvals(:org) GROUP BY status ORDER BY status;

-- The organization's own threshold counts where it is lower; without any, nothing waits.
SELECT holdfast.set_approval_threshold(:org, 0.0001);
SELECT outcome, threshold FROM pg_temp.call('e') :columns;
SELECT outcome, threshold FROM pg_temp.call('e', above => NULL) :columns;
SELECT holdfast.set_approval_threshold(:org, 5);
SELECT outcome, threshold FROM pg_temp.call('f') :columns;
SELECT holdfast.set_approval_threshold(:org, NULL);
SELECT outcome, threshold FROM pg_temp.call('f', above => NULL) :columns;
SELECT holdfast.set_approval_threshold(:org, -1);
SELECT holdfast.set_approval_threshold(:org, 'NaN');

-- Who would need approval does not stand in.
SELECT outcome, routing -> 'chain' AS chain FROM holdfast.open_call(:org, :'hash', 'any', 1000, 1000, p_providers => '{openai,anthropic}',
    p_models => '{gpt-4o-mini,claude-3-5-haiku}', p_fallbacks => 1, p_approve_above => 0.001, p_fingerprint => 'x');
-- Bad values, and other tenants.
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1000, 1000, p_provider => 'openai', p_approve_above => 0.0001);
SELECT * FROM holdfast.list_approvals(:org, 'lost');
SELECT * FROM holdfast.list_approvals(:org, p_limit => 0);
SELECT count(*) FROM holdfast.list_approvals(:other);
UPDATE holdfast.holds SET expires_at = now() WHERE organization_id = :org AND status = 'open';
SELECT * FROM holdfast.check_invariants() WHERE organization_id = :org;
