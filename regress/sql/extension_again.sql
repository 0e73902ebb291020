-- A session outlives the extension: what it remembers of the tables is of those that are there now.
CREATE DATABASE regression_again;
\c regression_again
\set org '\'e2000000-0000-4000-8000-000000000001\''
CREATE EXTENSION holdfast;
SELECT holdfast.create_workflow(:org) AS workflow \gset
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.5);
SELECT cost, total_ai_cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 5, 0.25);
DROP EXTENSION holdfast;
CREATE EXTENSION holdfast;
SELECT holdfast.create_workflow(:org) AS workflow \gset
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.5);
SELECT cost, total_ai_cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 5, 0.25);
SELECT holdfast.check_workflow_cost_limit(:'workflow', 0.25), holdfast.check_workflow_cost_limit(:'workflow', 0.26);
-- Indexes that are made anew have other numbers.
REINDEX TABLE CONCURRENTLY holdfast.budget_counters;
REINDEX TABLE CONCURRENTLY holdfast.ai_usage_ledger;
SELECT granted FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.125);
SELECT cost, total_ai_cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 5, 0.0625);
SET enable_seqscan = off;
SELECT count(*) FROM holdfast.ai_usage_ledger WHERE organization_id = :org;
SELECT * FROM holdfast.check_invariants();
\c contrib_regression
DROP DATABASE regression_again;
