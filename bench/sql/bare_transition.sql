\set n :n % 64 + 1
\if :n = 1
\set phase :phase % 3 + 1
\endif
\set w :base + :client_id * 64 + :n
\set o :base + (:w - :base) % 200
\if :phase = 1
UPDATE classic.states SET state = 'B', updated_at = now() WHERE id = bench.workflow(:w) AND organization_id = bench.organization(:o) AND state = 'A' RETURNING state;
\elif :phase = 2
UPDATE classic.states SET state = 'C', updated_at = now() WHERE id = bench.workflow(:w) AND organization_id = bench.organization(:o) AND state = 'B' RETURNING state;
\else
UPDATE classic.states SET state = 'A', updated_at = now() WHERE id = bench.workflow(:w) AND organization_id = bench.organization(:o) AND state = 'C' RETURNING state;
\endif
