\set w random(1, :workflows) + :base
\set o :w % :organizations + :base
SELECT hold_id FROM holdfast.hold_workflow_cost(bench.workflow(:w), bench.organization(:o), 0.00045) \gset
SELECT cost FROM holdfast.record_usage_and_increment(bench.workflow(:w), bench.organization(:o), 'gpt-4o-mini', 1000, 500, p_hold_id => :hold_id);
