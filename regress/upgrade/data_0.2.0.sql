-- Rows in every table of 0.2.0, the books right.
\set org '\'d1000000-0000-4000-8000-000000000001\''
SELECT holdfast.set_budget(:org, 10);
SELECT holdfast.set_budget(:org, 5, 'user', 'ada', 'day', p_soft_limit_usd => 4);
SELECT holdfast.grant_credits(:org, 'user:ada', 300, 'a start');
INSERT INTO holdfast.intent_workflows (id, organization_id, workflow_data, cost_limit)
VALUES ('d1000000-0000-4000-8000-0000000000a1', :org, '{"topic": "rope"}', 2);
INSERT INTO holdfast.ai_provider_pricing (provider, model, cost_per_1m_input, cost_per_1m_output, effective_date)
VALUES ('acme', 'rope', 1.5, 2.5, '2025-01-01');
SELECT count(holdfast.create_api_key(:org, name)) FROM unnest('{one,two}'::text[]) name;
SELECT count(r) FROM generate_series(1, 50) n, holdfast.record_usage_and_increment('d1000000-0000-4000-8000-0000000000a1', :org, 'rope', 10, 5,
    0.01, ('d1000000-0000-4000-8000-' || lpad((1000 + n)::text, 12, '0'))::uuid, p_user_id => 'ada') r;
SELECT count(h) FROM unnest('{0.3,0.2}'::numeric[]) amount,
    holdfast.hold_workflow_cost('d1000000-0000-4000-8000-0000000000a1', :org, amount, p_user_id => 'ada') h WHERE h.granted;
SELECT h.granted FROM holdfast.hold_workflow_cost('d1000000-0000-4000-8000-0000000000a1', :org, 100) h;
INSERT INTO holdfast.idempotent_calls (organization_id, idempotency_key, fingerprint, hold_id, created_at, answer_status, answer)
SELECT organization_id, 'again', '\x01', hold_id, now(), 200, 'fine' FROM holdfast.holds LIMIT 1;
SELECT count(i) FROM holdfast.import_pricing('{"acme/twine": {"litellm_provider": "acme", "mode": "chat",
    "input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}}') i;
INSERT INTO holdfast.call_write_offs (organization_id, hold_id, amount, reason)
VALUES (:org, 'd1000000-0000-4000-8000-0000000000f9', 0.1, 'the provider charged nothing');
SELECT count(s) FROM holdfast.seal_ledger() s;
SELECT count(c) FROM holdfast.check_invariants() c;
