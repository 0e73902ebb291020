-- What a provider says that a call cost is kept beside ours; a difference is an alert, one of a severity for each provider, model and day.
\set VERBOSITY terse
\set org '\'a1e00000-0000-0000-0000-000000000001\''
\set other '\'a1e00000-0000-0000-0000-000000000002\''
CREATE FUNCTION pg_temp.call(reported numeric, estimated boolean DEFAULT false, provider text DEFAULT 'openrouter', model text DEFAULT 'claude-3.5-sonnet')
    RETURNS numeric LANGUAGE sql AS $$
    SELECT s.cost FROM holdfast.hold_workflow_cost(NULL, 'a1e00000-0000-0000-0000-000000000001', 1, p_provider => provider) h,
        LATERAL holdfast.settle_call('a1e00000-0000-0000-0000-000000000001', h.hold_id, model, 1000, 100, p_reported_cost => reported,
                                     p_estimated => estimated) s $$;
-- 1000 and 100 tokens: 0.0045 USD. The same, nearly the same, none, and an estimate of ours tell nothing.
SELECT pg_temp.call(0.0045), pg_temp.call(0.004545), pg_temp.call(NULL), pg_temp.call(0.1, true);
SELECT count(*) FROM holdfast.get_cost_alerts(:org);
SELECT pg_temp.call(0.005), pg_temp.call(0.0051), pg_temp.call(0.009), pg_temp.call(0.1);
SELECT pg_temp.call(0.009, provider => 'perplexity', model => 'sonar');
SELECT alert_type, severity, provider, model, threshold_value, actual_value, message, metadata ? 'ledgerId' AS names_entry, resolved_at
FROM holdfast.get_cost_alerts(:org) ORDER BY provider, severity;
SELECT count(*) AS kept FROM holdfast.ai_usage_ledger WHERE organization_id = :org AND reported_cost <> cost;
-- Resolved ones are out of sight, and not raised again that day.
SELECT holdfast.resolve_cost_alert(id, :org) IS NOT NULL AS resolved FROM holdfast.get_cost_alerts(:org);
SELECT pg_temp.call(0.009);
SELECT count(*) AS open FROM holdfast.get_cost_alerts(:org);
SELECT count(*) AS known FROM holdfast.get_cost_alerts(:org, p_open => false);
SELECT holdfast.resolve_cost_alert('a1e00000-0000-0000-0000-0000000000ff', :org);
SELECT holdfast.get_cost_alerts(:org, p_limit => 0);
SELECT count(*) FROM holdfast.get_cost_alerts(:other);
SELECT * FROM holdfast.check_invariants() WHERE organization_id = :org;
