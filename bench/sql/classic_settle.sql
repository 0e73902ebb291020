\set w random(1, :workflows) + :base
\set o :w % :organizations + :base
SELECT settle FROM classic.settle(bench.workflow(:w), bench.organization(:o), 'gpt-4o-mini', 1000, 500, 0.00045);
