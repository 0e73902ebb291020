\set w random(1, :workflows) + :base
SELECT classic.check_limit(bench.workflow(:w), 0.00045, 1000000000);
