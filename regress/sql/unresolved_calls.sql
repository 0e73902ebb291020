-- Calls without an end are shown with the most they can have cost, until they are settled late or written off.
\set VERBOSITY terse
\set org '\'0a7e0000-0000-0000-0000-000000000001\''
\set swept '\'0a7e0000-0000-0000-0000-0000000000d1\''
\set unswept '\'0a7e0000-0000-0000-0000-0000000000d2\''
\set living '\'0a7e0000-0000-0000-0000-0000000000d3\''
\set settled '\'0a7e0000-0000-0000-0000-0000000000d4\''
SELECT holdfast.create_workflow(:org, p_cost_limit => 10) AS workflow \gset
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.75, p_ttl => '1 microsecond', p_user_id => 'ann', p_idempotency_key => :swept);
SELECT holdfast.expire_holds() > 0 AS swept;
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.5, p_ttl => '1 microsecond', p_idempotency_key => :unswept);
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.25, p_idempotency_key => :living);
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.125, p_idempotency_key => :settled);
SELECT cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'm', 1, 1, 0.125, p_hold_id => :settled);
SELECT right(hold_id::text, 2) AS hold, most_usd, user_id FROM holdfast.unresolved_calls WHERE organization_id = :org ORDER BY hold_id;

-- Refused: what runs, has ended, is not there, or has no reason.
SELECT holdfast.write_off_call(:living, :org, 'lost');
SELECT holdfast.write_off_call(:settled, :org, 'lost');
SELECT holdfast.write_off_call('0a7e0000-0000-0000-0000-00000000dead', :org, 'lost');
SELECT holdfast.write_off_call(:swept, :org, ' ');
SELECT holdfast.write_off_call(:swept, :org, 'the gateway was killed; the provider shows no charge');
SELECT holdfast.write_off_call(:swept, :org, 'again');
SELECT right(hold_id::text, 2) AS hold, most_usd FROM holdfast.unresolved_calls WHERE organization_id = :org ORDER BY hold_id;
SELECT right(hold_id::text, 2) AS hold, amount, reason FROM holdfast.call_write_offs WHERE organization_id = :org;
UPDATE holdfast.call_write_offs SET reason = '';

-- A settlement that comes late is recorded, written off or not, and the call is resolved.
SELECT cost, overrun, duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'm', 1, 1, 0.4, p_hold_id => :swept, p_idempotency_key => :swept);
SELECT cost, overrun, duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'm', 1, 1, 0.4, p_hold_id => :swept, p_idempotency_key => :swept);
SELECT status FROM holdfast.holds WHERE hold_id = :swept;
SELECT cost, overrun FROM holdfast.record_usage_and_increment(:'workflow', :org, 'm', 1, 1, 0.3, p_hold_id => :unswept);
SELECT count(*) AS unresolved FROM holdfast.unresolved_calls WHERE organization_id = :org;
SELECT total_ai_cost, held_cost FROM holdfast.intent_workflows WHERE id = :'workflow';
SELECT * FROM holdfast.check_invariants();
