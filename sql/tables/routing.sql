-- Providers that asked to be left alone for a while.

CREATE TABLE provider_pauses (
    provider text NOT NULL,
    model text NOT NULL DEFAULT '',
    paused_until timestamptz NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (provider, model)
);
COMMENT ON TABLE provider_pauses IS
'Providers that said they are exhausted, and until when no gateway asks them: for one model, or for all where model is empty. Rows that are past have no effect.';
SELECT pg_extension_config_dump('provider_pauses', '');
