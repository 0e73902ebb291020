\set w random(1, :workflows) + :base
\set o :w % :organizations + :base
INSERT INTO classic.ledger (workflow_id, organization_id, model, prompt_tokens, completion_tokens, cost) VALUES (bench.workflow(:w), bench.organization(:o), 'gpt-4o-mini', 1000, 500, 0.00045);
