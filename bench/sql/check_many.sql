SELECT count(*) FROM bench.checked WHERE holdfast.check_workflow_cost_limit(id, 0.00045);
