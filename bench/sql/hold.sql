\set w random(1, :workflows) + :base
\set o :w % :organizations + :base
\set u random(1, 5)
SELECT granted FROM holdfast.hold_workflow_cost(bench.workflow(:w), bench.organization(:o), 0.00045, p_user_id => 'user-' || :u);
