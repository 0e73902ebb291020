-- Answers kept for requests that are asked again.

CREATE TABLE ai_cache (
    organization_id uuid NOT NULL,
    cache_key bytea NOT NULL CHECK (octet_length(cache_key) = 32),
    entry_id uuid NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cached_tokens integer NOT NULL,
    cache_write_tokens integer NOT NULL,
    reasoning_tokens integer NOT NULL,
    answer_bytes integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    answer text NOT NULL,
    PRIMARY KEY (organization_id, cache_key)
);
CREATE INDEX ai_cache_expiry ON ai_cache (expires_at);
COMMENT ON TABLE ai_cache IS
'The answer to each request that its organization wants kept, until expires_at. cache_key is a SHA-256 of the organization and all that makes the answer: prompt, model, provider, temperature and what else the request says. entry_id changes with the answer; provider and model are those that answered, with the tokens that they counted.';
SELECT pg_extension_config_dump('ai_cache', 'WHERE false');

-- Divided by server process, so that those who are given one answer do not wait for each other. What a crash takes from it
-- is still in the ledger.
CREATE UNLOGGED TABLE ai_cache_hits (
    organization_id uuid NOT NULL,
    cache_key bytea NOT NULL,
    slot smallint NOT NULL,
    hits bigint NOT NULL,
    PRIMARY KEY (organization_id, cache_key, slot)
) WITH (fillfactor = 50);
COMMENT ON TABLE ai_cache_hits IS 'How often each answer of ai_cache was given, in parts that are to be summed.';
SELECT pg_extension_config_dump('ai_cache_hits', 'WHERE false');

CREATE UNLOGGED TABLE ai_cache_flights (
    organization_id uuid NOT NULL,
    cache_key bytea NOT NULL,
    flight_id uuid NOT NULL,
    lease_until timestamptz NOT NULL,
    is_awaited boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, cache_key)
);
COMMENT ON TABLE ai_cache_flights IS
'Requests whose answer is being made: who asks the same waits for it, as long as lease_until is extended. is_awaited: somebody does, and is told by NOTIFY on holdfast_cache when it ends.';
SELECT pg_extension_config_dump('ai_cache_flights', 'WHERE false');
