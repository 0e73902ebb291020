\set n :n % 64 + 1
\if :n = 1
\set phase :phase % 3 + 1
\endif
\set w :base + :client_id * 64 + :n
\set o :base + (:w - :base) % 200
\if :phase = 1
SELECT state, fence FROM holdfast.advance_workflow(bench.workflow(:w), bench.organization(:o), 'ICP_PENDING', 'ICP_PROCESSING', 'ann', 'because');
\elif :phase = 2
SELECT state, fence FROM holdfast.advance_workflow(bench.workflow(:w), bench.organization(:o), 'ICP_PROCESSING', 'ICP_FAILED', 'ann', 'because');
\else
SELECT state, fence FROM holdfast.advance_workflow(bench.workflow(:w), bench.organization(:o), 'ICP_FAILED', 'ICP_PENDING', 'ann', 'because');
\endif
