-- Holds: the check and the reservation are one step.
\set VERBOSITY default
\set SHOW_CONTEXT never
\set org '\'a0000000-0000-0000-0000-000000000001\''
\set key1 '\'a0000000-0000-0000-0000-0000000000f1\''
SELECT holdfast.create_workflow(:org) AS workflow \gset

-- The default limit is one dollar; a denial is a row that names who refused, with the figures.
SELECT granted, scope, limit_usd, spent, held, expires_at > now() AS lives
FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.60);
SELECT hold_id IS NULL AS no_hold, granted, scope, limit_usd, spent, held, expires_at
FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.4000001);
SELECT granted, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.40);
SELECT scope, requested, limit_usd, spent, held FROM holdfast.budget_denials WHERE workflow_id = :'workflow';
SELECT holdfast.check_workflow_cost_limit(:'workflow', 0) AS zero_fits,
       holdfast.check_workflow_cost_limit(:'workflow', 0.000001) AS more_does_not,
       holdfast.check_workflow_cost_limit(:'workflow', 0.5, 1.50) AS under_another_limit;

-- Released money is free again, once.
SELECT hold_id FROM holdfast.holds WHERE workflow_id = :'workflow' AND amount = 0.60 \gset
SELECT holdfast.release_hold(:'hold_id', :org);
SELECT cost_limit, total_ai_cost, held_cost FROM holdfast.intent_workflows WHERE id = :'workflow';
\set VERBOSITY sqlstate
SELECT holdfast.release_hold(:'hold_id', :org);
SELECT holdfast.extend_hold(:'hold_id', :org);
SELECT holdfast.release_hold('00000000-0000-0000-0000-00000000dead', :org);
SELECT holdfast.release_hold(hold_id, 'a0000000-0000-0000-0000-000000000002') FROM holdfast.holds WHERE amount = 0.40;

-- p_limit lowers the workflow's limit for this hold; it cannot raise it.
SELECT granted, scope, limit_usd FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.2, p_limit => 0.5);
SELECT granted, scope, limit_usd FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.7, p_limit => 5);

-- A repeat of a key returns the same hold and reserves nothing more.
SELECT hold_id, granted, held FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.1, p_idempotency_key => :key1);
SELECT hold_id, granted, held FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.1, p_idempotency_key => :key1);
SELECT hold_id FROM holdfast.hold_workflow_cost(:'workflow', :org, 0.2, p_idempotency_key => :key1);

-- What has run out is free at that moment, though nothing swept it.
SELECT holdfast.create_workflow(:org, p_cost_limit => 0.5) AS brief \gset
SELECT granted FROM holdfast.hold_workflow_cost(:'brief', :org, 0.5, p_ttl => '1 microsecond');
SELECT holdfast.check_workflow_cost_limit(:'brief', 0.5);
SELECT granted, held FROM holdfast.hold_workflow_cost(:'brief', :org, 0.5);
SELECT granted, scope, held FROM holdfast.hold_workflow_cost(:'brief', :org, 0.01);
SELECT * FROM holdfast.check_invariants();
SELECT holdfast.extend_hold(hold_id, :org) FROM holdfast.holds WHERE workflow_id = :'brief' AND expires_at < now();
SELECT holdfast.expire_holds() AS expired;
SELECT status, amount, ended_at IS NOT NULL AS ended FROM holdfast.holds WHERE workflow_id = :'brief' ORDER BY created_at;
SELECT held_cost FROM holdfast.intent_workflows WHERE id = :'brief';
SELECT holdfast.extend_hold(hold_id, :org, '1 hour') > now() + interval '59 minutes' AS extended
FROM holdfast.holds WHERE workflow_id = :'brief' AND status = 'open';

-- The organization's month refuses too, and then nothing is held anywhere.
\set other '\'a0000000-0000-0000-0000-000000000003\''
SELECT holdfast.create_workflow(:other, p_cost_limit => 100) AS rich \gset
SELECT holdfast.set_budget(:other, 1.00);
SELECT granted, scope, limit_usd, held FROM holdfast.hold_workflow_cost(:'rich', :other, 0.75);
SELECT granted, scope, limit_usd, spent, held FROM holdfast.hold_workflow_cost(:'rich', :other, 0.50);
SELECT granted, scope, limit_usd, held FROM holdfast.hold_workflow_cost(NULL, :other, 0.30);
SELECT granted, scope, limit_usd, held FROM holdfast.hold_workflow_cost(NULL, :other, 0.25);
SELECT held_cost FROM holdfast.intent_workflows WHERE id = :'rich';
SELECT holdfast.set_budget(:other, 0.50);
SELECT * FROM holdfast.check_invariants();
SELECT granted, scope, limit_usd, held FROM holdfast.hold_workflow_cost(NULL, :other, 0);
SELECT holdfast.set_budget(:other, NULL);
SELECT granted, scope, limit_usd, held FROM holdfast.hold_workflow_cost(NULL, :other, 1000);
SELECT * FROM holdfast.check_invariants();
