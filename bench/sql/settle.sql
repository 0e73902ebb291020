\set w random(1, :workflows) + :base
\set o :w % :organizations + :base
SELECT cost FROM holdfast.record_usage_and_increment(bench.workflow(:w), bench.organization(:o), 'gpt-4o-mini', 1000, 500);
