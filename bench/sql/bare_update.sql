\set w random(1, :workflows) + :base
UPDATE classic.workflows SET workflow_data = jsonb_set(workflow_data, '{total_ai_cost}', to_jsonb(coalesce((workflow_data ->> 'total_ai_cost')::numeric, 0) + 0.00045)) WHERE id = bench.workflow(:w);
