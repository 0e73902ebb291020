-- What people and keys leave of themselves in texts, and what organizations decide about it.
\set VERBOSITY terse
\set org '\'d0000000-0000-0000-0000-0000000000a5\''
\set other '\'d0000000-0000-0000-0000-0000000000a6\''

SELECT holdfast.redact_text('Ask ada@example.com, 555-123-4567, 123-45-6789, 4111 1111 1111 1111, sk-ant-api03-0123456789abcdefghij');
SELECT holdfast.redact_text('{"ssn": "123456789", "order": "123456789", "a": "\nada@example.com"}')::json;
SELECT holdfast.redact_text('4111 1111 1111 1112, 000-45-6789, a@b, sk-learn, 2024-01-15') AS nothing_of_it;
SELECT holdfast.redact_text(NULL) IS NULL AS nothing, holdfast.redact_text('') = '' AS empty;
SELECT provolatile, proparallel FROM pg_proc WHERE oid = 'holdfast.redact_text'::regproc;

-- An organization decides what its providers get.
SELECT redact_for_provider FROM holdfast.get_organization_settings(:org);
SELECT api_key AS key FROM holdfast.create_api_key(:org, 'a5') \gset
SELECT redact FROM holdfast.open_call(:org, sha256(:'key'), 'gpt-4o-mini', 10, 10, p_providers => '{openai}');
SELECT holdfast.set_organization_settings(:org, p_redact_for_provider => true);
SELECT holdfast.set_organization_settings(:org);
SELECT redact_for_provider FROM holdfast.get_organization_settings(:org);
SELECT redact_for_provider FROM holdfast.get_organization_settings(:other);
SELECT redact FROM holdfast.open_call(:org, sha256(:'key'), 'gpt-4o-mini', 10, 10, p_providers => '{openai}');
SELECT holdfast.set_organization_settings(NULL, true);
BEGIN;
SET LOCAL request.jwt.claims = '{"role": "authenticated", "organization_id": "d0000000-0000-0000-0000-0000000000a6"}';
SELECT holdfast.set_organization_settings(:org, true);
ROLLBACK;

-- A step of a run gets its prompts in the same way.
SELECT run_id AS run FROM holdfast.start_run(:org, p_definition => '{"name": "ask", "version": "1", "steps": [{"id": "a", "action": "generate", "provider": "openai", "model": "gpt-4o-mini", "input": {"prompt": "\n  Ask {{input.who}}  \r\n", "systemPrompt": "You are ada@example.com", "maxTokens": 10}}]}', p_input => '{"who": "bob@example.com"}') \gset
SELECT prompt, system_prompt FROM holdfast.claim_step('w', '{openai}', p_organization_id => :org);
SELECT count(*) FROM holdfast.holds WHERE organization_id = :org AND holdfast.release_hold(hold_id, :org);
