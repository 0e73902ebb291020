-- A governed call: opened, settled or released, repeated.
\set VERBOSITY terse
\set org '\'d0000000-0000-0000-0000-000000000001\''
SELECT api_key_id, api_key FROM holdfast.create_api_key(:org, 'test', 'ada') \gset
SELECT :'api_key' ~ '^hf_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$' AS well_formed, sha256(:'api_key') AS hash \gset
SELECT user_id, role FROM holdfast.authenticate_key(:org, :'hash');
SELECT count(*) AS plain_keys_stored FROM holdfast.api_keys k WHERE k::text LIKE '%' || :'api_key' || '%';
SELECT holdfast.create_workflow(:org, p_cost_limit => 0.001) AS workflow \gset

-- Held: 1000 x 0.15 / 1e6 + 500 x 0.60 / 1e6. Settled: what was used.
SELECT outcome, hold_id, provider, model, estimated_cost, scope, limit_usd, spent, held, remaining, user_id
FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1000, 500, p_providers => '{openai}', p_workflow_id => :'workflow',
                        p_idempotency_key => 'one', p_fingerprint => 'body') \gset
SELECT :'outcome' AS outcome, :'provider' AS provider, :'estimated_cost' AS estimated, :'remaining' AS remaining, :'user_id' AS user_id;
SELECT outcome, retry_after_ms, hold_id FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1000, 500, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'one', p_fingerprint => 'body');
SELECT ledger_id = :'hold_id' AS entry_is_the_hold, cost, total_ai_cost, duplicate, overrun, remaining
FROM holdfast.settle_call(:org, :'hold_id', 'gpt-4o-mini-2024-07-18', 900, 100, p_cached_tokens => 100,
                          p_reported_cost => 0.0002, p_answer_status => 200, p_answer => '{"content": "hi"}');
SELECT ledger_id = :'hold_id' AS entry_is_the_hold, cost, duplicate
FROM holdfast.settle_call(:org, :'hold_id', 'gpt-4o-mini-2024-07-18', 900, 100, p_cached_tokens => 100);
SELECT outcome, answer_status, answer, estimated_cost AS first_cost FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1000, 500, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'one', p_fingerprint => 'body');
SELECT outcome FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 1000, 500, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'one', p_fingerprint => 'another body');
SELECT provider, user_id, cached_tokens, reported_cost, estimated FROM holdfast.ai_usage_ledger WHERE organization_id = :org;

-- Denied: on record, with no trace that a repeat would stumble over.
SELECT outcome, hold_id, scope, estimated_cost, limit_usd, spent, held, remaining
FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 5000, 5000, p_providers => '{openai}', p_workflow_id => :'workflow',
                        p_idempotency_key => 'two', p_fingerprint => 'body');
SELECT count(*) FROM holdfast.idempotent_calls WHERE idempotency_key = 'two';
SELECT scope, requested, user_id, provider, model FROM holdfast.budget_denials WHERE organization_id = :org;

-- Released: the money and the key are free again.
SELECT hold_id FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{openai}',
    p_workflow_id => :'workflow', p_idempotency_key => 'three', p_fingerprint => 'body') \gset
SELECT holdfast.release_call(:org, :'hold_id'), holdfast.release_call(:org, :'hold_id');
SELECT outcome, provider FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{sandbox}',
    p_workflow_id => :'workflow', p_idempotency_key => 'three', p_fingerprint => 'body', p_ttl => '1 microsecond');

-- Its caller died: after the hold ran out the key can be used again, and the first call is settled late all the same.
SELECT hold_id AS lost FROM holdfast.holds WHERE call_key = 'three' AND status = 'open' \gset
SELECT outcome, hold_id <> :'lost' AS another_hold FROM holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10,
    p_providers => '{sandbox}', p_workflow_id => :'workflow', p_idempotency_key => 'three', p_fingerprint => 'body');
SELECT cost, overrun FROM holdfast.settle_call(:org, :'lost', 'gpt-4o-mini', 10, 10, p_answer_status => 200, p_answer => 'late');
SELECT answer_status FROM holdfast.idempotent_calls WHERE idempotency_key = 'three';

-- The cheapest active provider is chosen, and the sandbox is priced as what it imitates.
SELECT outcome, provider, estimated_cost FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, p_providers => '{together,deepinfra}');
SELECT outcome, provider, estimated_cost FROM holdfast.open_call(:org, :'hash', 'llama-3.1-70b', 10, 10, 'sandbox');

-- Refused.
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, p_providers => '{groq}');
SELECT holdfast.open_call(:org, :'hash', 'gpt-9', 10, 10, p_providers => '{openai}');
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, 'groq');
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', -1, 10, 'openai');
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 2000000000, 'openai');
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, 'openai', p_workflow_id => 'd0000000-0000-0000-0000-00000000dead');
SELECT holdfast.create_workflow('d0000000-0000-0000-0000-000000000002') AS foreign_workflow \gset
\set VERBOSITY sqlstate
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, 'openai', p_workflow_id => :'foreign_workflow');
\set VERBOSITY terse
SELECT holdfast.open_call('d0000000-0000-0000-0000-000000000002', :'hash', 'gpt-4o-mini', 10, 10, 'openai');
SELECT holdfast.open_call(:org, sha256('guess'), 'gpt-4o-mini', 10, 10, 'openai');
SELECT holdfast.open_call(:org, 'short', 'gpt-4o-mini', 10, 10, 'openai');
SELECT holdfast.settle_call(:org, 'd0000000-0000-0000-0000-00000000dead', 'gpt-4o-mini', 1, 1);
SELECT holdfast.revoke_api_key(:'api_key_id', :org);
SELECT holdfast.open_call(:org, :'hash', 'gpt-4o-mini', 10, 10, 'openai');
SELECT holdfast.revoke_api_key('d0000000-0000-0000-0000-00000000dead', :org);
SELECT api_key FROM holdfast.create_api_key(:org, 'brief', p_expires_at => now() - interval '1 second') \gset
SELECT holdfast.authenticate_key(:org, sha256(:'api_key'));
SELECT api_key FROM holdfast.create_api_key(:org, 'odd', p_role => 'emperor');
SELECT * FROM holdfast.check_invariants();
