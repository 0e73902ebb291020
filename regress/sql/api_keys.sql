-- What an API key is bound to, and how it ends.
\set VERBOSITY terse
\set org '\'5a000000-0000-4000-8000-000000000001\''
\set other '\'5a000000-0000-4000-8000-000000000002\''
-- The outcome of a governed call of 10 + 10 tokens.
CREATE FUNCTION pg_temp.call(p_key text, p_model text, p_provider text DEFAULT NULL, p_organization uuid DEFAULT '5a000000-0000-4000-8000-000000000001')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    opened record;
    told text;
BEGIN
    SELECT * INTO opened FROM holdfast.open_call(p_organization, sha256(p_key::bytea), p_model, 10, 10, p_provider, '{openai,groq,anthropic}');
    RETURN concat_ws(' ', opened.outcome, opened.provider, opened.rate_layer, opened.rate_limit);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, told);
END $$;

CREATE FUNCTION pg_temp.refusal(p_key uuid, p_organization uuid, p_grace interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN holdfast.rotate_api_key(p_key, p_organization, p_grace);
EXCEPTION WHEN OTHERS THEN
    RETURN concat_ws(' ', SQLSTATE, replace(SQLERRM, p_key::text, '<key>'));
END $$;

-- Models under any of their names, and providers.
SELECT api_key AS bound FROM holdfast.create_api_key(:org, 'bound', p_allowed_models => '{openai/GPT-4o-mini-2024-07-18,llama-3.3-70b}') \gset
SELECT name, allowed_models, allowed_providers FROM holdfast.api_keys WHERE organization_id = :org;
SELECT model, pg_temp.call(:'bound', model) FROM unnest('{gpt-4o-mini,gpt-4o-mini-2024-07-18,llama-3.3-70b,claude-3-5-haiku}'::text[]) model;
SELECT api_key AS narrow FROM holdfast.create_api_key(:org, 'narrow', p_allowed_providers => '{Groq}') \gset
SELECT pg_temp.call(:'narrow', 'llama-3.3-70b'), pg_temp.call(:'narrow', 'gpt-4o-mini', 'openai');
SELECT pg_temp.call(:'narrow', 'gpt-4o-mini');

-- Its own limits, in place of those of all keys.
SELECT api_key AS slow, api_key_id AS slow_id FROM holdfast.create_api_key(:org, 'slow', p_requests_per_minute => 2) \gset
SELECT n, pg_temp.call(:'slow', CASE WHEN n > 0 THEN 'gpt-4o-mini' END) FROM generate_series(1, 3) n;
SELECT detail - 'retryAfterMs' AS detail, api_key_id = :'slow_id' AS is_the_key, provider FROM holdfast.get_audit_log(:org, 'limited');
SELECT api_key AS terse FROM holdfast.create_api_key(:org, 'terse', p_tokens_per_minute => 30) \gset
SELECT pg_temp.call(:'terse', 'gpt-4o-mini');
SELECT pg_temp.call(:'terse', 'gpt-4o-mini');

-- Rotation: the new key is as the old one, which ends at once, or after a while.
SELECT api_key_id AS old_id, api_key AS old FROM holdfast.create_api_key(:org, 'turning', 'ada', 'admin', p_allowed_models => '{gpt-4o-mini}', p_requests_per_minute => 7) \gset
SELECT api_key_id AS new_id, api_key AS new FROM holdfast.rotate_api_key(:'old_id', :org) \gset
SELECT pg_temp.call(:'old', 'gpt-4o-mini');
SELECT pg_temp.call(:'new', 'gpt-4o-mini');
SELECT name, user_id, role, allowed_models, requests_per_minute, revoked_at IS NOT NULL AS revoked, replaced_by = :'new_id' AS replaced
FROM holdfast.api_keys WHERE organization_id = :org AND name = 'turning' ORDER BY created_at;
SELECT api_key_id AS newer_id, api_key AS newer FROM holdfast.rotate_api_key(:'new_id', :org, '1 hour') \gset
SELECT pg_temp.call(:'new', 'gpt-4o-mini'), pg_temp.call(:'newer', 'gpt-4o-mini');
SELECT expires_at BETWEEN now() + interval '59 minutes' AND now() + interval '1 hour' AS ends_in_an_hour FROM holdfast.api_keys
WHERE organization_id = :org AND api_key_id = :'new_id';
SELECT pg_temp.refusal(:'old_id', :org, '0');
SELECT pg_temp.refusal(:'new_id', :org, '0');
SELECT pg_temp.refusal(:'newer_id', :other, '0');
SELECT pg_temp.refusal(:'newer_id', :org, '1 year');

-- Revoked: of no use from the next statement on.
SELECT holdfast.revoke_api_key(:'newer_id', :org);
SELECT pg_temp.call(:'newer', 'gpt-4o-mini');
SELECT holdfast.authenticate_key(:org, sha256(:'newer'));

-- What no key is.
SELECT holdfast.create_api_key(:org, 'bad', p_requests_per_minute => -1);
SELECT holdfast.create_api_key(:org, 'bad', p_allowed_models => '{}');
SELECT holdfast.create_api_key(:org, 'bad', p_allowed_providers => '{openai,NULL}');
SELECT count(*) FROM holdfast.api_keys WHERE name = 'bad';
