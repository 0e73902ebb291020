-- What an organization has decided for all its calls. One without a row has the defaults.

CREATE TABLE organization_settings (
    organization_id uuid PRIMARY KEY,
    redact_for_provider boolean NOT NULL DEFAULT false,
    cache text NOT NULL DEFAULT 'asked' CHECK (cache IN ('off', 'asked', 'all'))
);
COMMENT ON TABLE organization_settings IS
'What an organization has decided for all its calls; set_organization_settings() writes it. redact_for_provider: providers get prompts as redact_text() leaves them. cache: answers are kept for no request (off), for those that ask for it (asked), or for all that do not forbid it (all).';
SELECT pg_extension_config_dump('organization_settings', '');
