-- As PostgREST calls: a role that may only execute, claims in a setting, named parameters, a status for denials.
\set VERBOSITY sqlstate
\set org '\'f0000000-0000-0000-0000-000000000001\''
\set foreign_org '\'f0000000-0000-0000-0000-000000000002\''
SET client_min_messages = warning;
DROP ROLE IF EXISTS holdfast_web;
CREATE ROLE holdfast_web;
RESET client_min_messages;
SELECT holdfast.grant_access('holdfast_web', 'application');
SELECT holdfast.create_workflow(:org) AS mine, holdfast.create_workflow(:foreign_org) AS theirs \gset
SELECT hold_id AS their_hold FROM holdfast.hold_workflow_cost(:'theirs', :foreign_org, 0.1) \gset

BEGIN;
SET LOCAL ROLE holdfast_web;
SET LOCAL request.jwt.claims = '{"role": "holdfast_web", "organization_id": "f0000000-0000-0000-0000-000000000001"}';
SELECT granted, limit_usd, held FROM holdfast.hold_workflow_cost(p_workflow_id => :'mine', p_organization_id => :org, p_estimated_cost => 0.9);
SELECT current_setting('response.status', true) AS status_when_granted;
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(p_workflow_id => :'mine', p_organization_id => :org, p_estimated_cost => 0.2);
SELECT current_setting('response.status', true) AS status_when_denied;
COMMIT;
SELECT scope, requested, limit_usd, held FROM holdfast.budget_denials WHERE organization_id = :org;

-- Another organization cannot be reached through any function, whichever parameter names it.
\set claims 'SET LOCAL ROLE holdfast_web; SET LOCAL request.jwt.claims = \'{"role": "holdfast_web", "organization_id": "f0000000-0000-0000-0000-000000000001"}\';'
BEGIN; :claims SELECT holdfast.hold_workflow_cost(:'theirs', :foreign_org, 0.1); ROLLBACK;
BEGIN; :claims SELECT holdfast.hold_workflow_cost(:'theirs', :org, 0.1); ROLLBACK;
BEGIN; :claims SELECT holdfast.release_hold(:'their_hold', :foreign_org); ROLLBACK;
BEGIN; :claims SELECT holdfast.release_hold(:'their_hold', :org); ROLLBACK;
BEGIN; :claims SELECT holdfast.extend_hold(:'their_hold', :foreign_org); ROLLBACK;
BEGIN; :claims SELECT holdfast.record_usage_and_increment(:'theirs', :foreign_org, 'm', 1, 1, 0.1); ROLLBACK;
BEGIN; :claims SELECT holdfast.record_usage_and_increment(:'theirs', :org, 'm', 1, 1, 0.1); ROLLBACK;
BEGIN; :claims SELECT holdfast.record_usage_and_increment(:'mine', :org, 'm', 1, 1, 0.1, p_hold_id => :'their_hold'); ROLLBACK;
BEGIN; :claims SELECT holdfast.increment_workflow_cost(:'theirs', 0.1); ROLLBACK;
BEGIN; :claims SELECT holdfast.check_workflow_cost_limit(:'theirs', 0.1); ROLLBACK;
BEGIN; :claims SELECT holdfast.create_workflow(:foreign_org); ROLLBACK;
BEGIN; :claims SELECT holdfast.get_organization_monthly_ai_cost(:foreign_org); ROLLBACK;
BEGIN; :claims SELECT holdfast.authenticate_key(:foreign_org, sha256('x')); ROLLBACK;
BEGIN; :claims SELECT holdfast.open_call(:foreign_org, sha256('x'), 'gpt-4o-mini', 1, 1); ROLLBACK;
BEGIN; :claims SELECT holdfast.settle_call(:foreign_org, :'their_hold', 'gpt-4o-mini', 1, 1); ROLLBACK;
BEGIN; :claims SELECT holdfast.release_call(:foreign_org, :'their_hold'); ROLLBACK;
-- Administration and tables are not the application's.
BEGIN; :claims SELECT holdfast.set_budget(:org, 5); ROLLBACK;
BEGIN; :claims SELECT holdfast.create_api_key(:org, 'mine'); ROLLBACK;
BEGIN; :claims SELECT count(*) FROM holdfast.ai_usage_ledger; ROLLBACK;
BEGIN; :claims SELECT count(*) FROM holdfast.intent_workflows; ROLLBACK;
BEGIN; :claims INSERT INTO holdfast.ai_usage_ledger (id) VALUES (gen_random_uuid()); ROLLBACK;
-- A token without an organization reaches none; the service role reaches all.
BEGIN; SET LOCAL ROLE holdfast_web; SET LOCAL request.jwt.claims = '{"role": "anon"}'; SELECT holdfast.create_workflow(:org); ROLLBACK;
BEGIN; SET LOCAL ROLE holdfast_web; SET LOCAL request.jwt.claims = '{"role": "service_role"}'; SELECT holdfast.get_organization_monthly_ai_cost(:foreign_org); ROLLBACK;
-- An operator whose token names no organization administers all, one whose token names one is held to it.
SELECT holdfast.grant_access('holdfast_web', 'operator');
BEGIN; SET LOCAL ROLE holdfast_web; SET LOCAL request.jwt.claims = '{"role": "holdfast_web"}';
SELECT holdfast.set_budget(:org, 5) = :org AS set, holdfast.set_budget(:foreign_org, 5) = :foreign_org AS set; ROLLBACK;
BEGIN; :claims SELECT holdfast.set_budget(:org, 5) = :org AS set; SELECT holdfast.set_budget(:foreign_org, 5); ROLLBACK;
BEGIN; SET LOCAL ROLE holdfast_web; SET LOCAL request.jwt.claims = '{"organization_id": ""}'; SELECT holdfast.set_budget(:org, 5); ROLLBACK;
SELECT status, amount FROM holdfast.holds WHERE organization_id = :foreign_org;
SELECT * FROM holdfast.check_invariants();
DROP OWNED BY holdfast_web;
DROP ROLE holdfast_web;
