-- Answers kept for requests that are asked again: a hit costs nothing, holds nothing, and is on record.
\set VERBOSITY terse
\set org '\'ca000000-0000-0000-0000-000000000001\''
\set other '\'ca000000-0000-0000-0000-000000000002\''
SELECT api_key_id, api_key AS key FROM holdfast.create_api_key(:org, 'cache', 'ada') \gset
SELECT api_key AS other_key FROM holdfast.create_api_key(:other, 'cache') \gset
SELECT api_key AS bound_key FROM holdfast.create_api_key(:org, 'bound', p_allowed_models => '{gpt-4o}') \gset
SELECT sha256('a question') AS ask, gen_random_uuid() AS f1, gen_random_uuid() AS f2 \gset
SELECT holdfast.create_workflow(:org) AS workflow \gset
SELECT * FROM holdfast.get_organization_settings(:org);

-- The first makes the call, the next waits for it, and gets its answer.
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f1');
SELECT outcome, lease_ms BETWEEN 1 AND 10000 AS lease FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2');
SELECT holdfast.extend_flight(:org, :'ask', :'f1'), holdfast.extend_flight(:org, :'ask', :'f2') AS not_yours, holdfast.end_flight(:org, :'ask', :'f2') AS not_yours;
SELECT holdfast.keep_answer(:org, :'ask', :'f1', 'openai', 'gpt-4o-mini', 1000, 500, '{"content": "because"}', p_ttl => '1 hour') AS entry \gset
SELECT outcome, entry_id = :'entry' AS entry, answer, provider, model, trim_scale(saved) AS saved, age_ms >= 0 AS age, rate_layer
FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_workflow_id => :'workflow', p_metadata => '{"requestId": "r"}');
SELECT outcome, answer FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_entry_id => :'entry');
SELECT workflow_id IS NOT NULL AS of_workflow, provider, model, user_id, api_key_id = :'api_key_id' AS key, prompt_tokens, completion_tokens,
       cost, trim_scale(list_cost) AS list_cost, cache_hit, hold_id, metadata
FROM holdfast.ai_usage_ledger WHERE organization_id = :org ORDER BY seq;
SELECT entries, bytes, hits FROM holdfast.get_cache(:org);
SELECT count(*) FROM holdfast.holds WHERE organization_id = :org;
SELECT holdfast.get_organization_monthly_ai_cost(:org);
SELECT workflow_data->'total_ai_cost' AS total FROM holdfast.intent_workflows WHERE id = :'workflow';

-- No older answer than is wanted; nobody else's; not for a key that may not call the model; not for one that was revoked.
UPDATE holdfast.ai_cache SET created_at = now() - interval '1 minute' WHERE organization_id = :org;
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_max_age => '2 minutes');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_max_age => '30 seconds');
SELECT holdfast.end_flight(:org, :'ask', :'f2');
SELECT outcome FROM holdfast.cached_call(:other, sha256(:'other_key'), :'ask', :'f2');
SELECT holdfast.end_flight(:other, :'ask', :'f2');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'bound_key'), :'ask', :'f2');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_workflow_id => 'ca000000-0000-0000-0000-0000000000ff');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'other_key'), :'ask', :'f2');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), 'short', :'f2');

-- A repeat under an idempotency key gets what the first got, also when the cache has forgotten it.
SELECT outcome, answer FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_idempotency_key => 'k', p_fingerprint => 'p', p_entry_id => :'entry');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_idempotency_key => 'k', p_fingerprint => 'p');
SELECT outcome, answer_status, answer, estimated_cost AS first_cost
FROM holdfast.open_call(:org, sha256(:'key'), 'gpt-4o-mini', 10, 10, p_providers => '{openai}', p_idempotency_key => 'k', p_fingerprint => 'p');

-- Asked together, each has its own outcome, and what is wrong with one undoes no other.
SELECT n, outcome, answer::jsonb ->> 'sqlstate' AS sqlstate
FROM (VALUES (1, sha256(:'key'), :'ask'::bytea, NULL::uuid), (2, sha256('nobody'), :'ask', NULL),
             (3, sha256(:'key'), :'ask', 'ca000000-0000-0000-0000-0000000000ff'), (4, sha256(:'key'), sha256('new'), NULL),
             (5, sha256(:'key'), sha256('new'), NULL), (6, sha256(:'key'), 'short', NULL), (7, sha256(:'key'), :'ask', NULL)
     ) asked (n, key_hash, cache_key, workflow_id),
     LATERAL holdfast.cached_call(:org, key_hash, cache_key, :'f2', p_workflow_id => workflow_id, p_in_batch => true)
ORDER BY n;
SELECT holdfast.end_flight(:org, sha256('new'), :'f2');
SELECT count(*) AS hits, count(DISTINCT id) AS entries FROM holdfast.ai_usage_ledger WHERE organization_id = :org AND cache_hit;

-- Only what is asked for, all, or nothing: the organization decides.
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_asked => false);
SELECT holdfast.set_organization_settings(:org, p_cache => 'all');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2', p_asked => false);
SELECT caches_all FROM holdfast.open_call(:org, sha256(:'key'), 'gpt-4o-mini', 10, 10, p_providers => '{openai}');
SELECT holdfast.set_organization_settings(:org, p_cache => 'off');
SELECT entries, hits FROM holdfast.get_cache(:org);
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2');
SELECT holdfast.keep_answer(:org, :'ask', :'f1', 'openai', 'gpt-4o-mini', 1, 1, 'x') IS NULL AS not_kept;
SELECT holdfast.set_organization_settings(:org, p_cache => 'often');
SELECT holdfast.set_organization_settings(:org, p_cache => 'asked');

-- What is too large, too old or too much goes.
SET holdfast.cache_answer_kb = 1;
SELECT holdfast.keep_answer(:org, :'ask', :'f1', 'openai', 'gpt-4o-mini', 1, 1, repeat('x', 1025)) IS NULL AS not_kept;
RESET holdfast.cache_answer_kb;
SELECT count(holdfast.keep_answer(:org, sha256(n::text::bytea), gen_random_uuid(), 'openai', 'gpt-4o-mini', 1, 1, 'x', p_ttl => make_interval(hours => n))) FROM generate_series(1, 6) n;
UPDATE holdfast.ai_cache SET expires_at = now() - interval '1 second' WHERE cache_key = sha256('6');
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), sha256('6'), :'f2');
SELECT holdfast.end_flight(:org, sha256('6'), :'f2');
SET holdfast.cache_entries = 2;
SELECT holdfast.trim_cache();
RESET holdfast.cache_entries;
SELECT cache_key = sha256('5') AS the_last, cache_key = sha256('4') AS the_one_before FROM holdfast.ai_cache WHERE organization_id = :org ORDER BY expires_at DESC;
SELECT holdfast.keep_answer(:org, :'ask', :'f1', 'openai', 'gpt-4o-mini', 1, 1, 'x', p_ttl => '25 hours');
SELECT holdfast.clear_cache(:org);

-- The flight of a gateway that died is taken over when its lease has run out.
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f1');
UPDATE holdfast.ai_cache_flights SET lease_until = now() - interval '1 second';
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2');
SELECT holdfast.extend_flight(:org, :'ask', :'f1') AS not_yours_any_more, holdfast.end_flight(:org, :'ask', :'f2');

SELECT holdfast.revoke_api_key(:'api_key_id', :org);
SELECT outcome FROM holdfast.cached_call(:org, sha256(:'key'), :'ask', :'f2');
SELECT count(holdfast.release_hold(hold_id, :org)) FROM holdfast.holds WHERE organization_id = :org AND status = 'open';
SELECT * FROM holdfast.check_invariants();
