\set w random(1, :workflows) + :base
SELECT holdfast.check_workflow_cost_limit(bench.workflow(:w), 0.00045);
