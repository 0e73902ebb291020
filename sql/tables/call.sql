-- Governed calls that a client may repeat.

CREATE TABLE idempotent_calls (
    organization_id uuid NOT NULL,
    idempotency_key text NOT NULL CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    hold_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    answer_status integer,
    answer text,
    PRIMARY KEY (organization_id, idempotency_key)
);
COMMENT ON TABLE idempotent_calls IS
'What the gateway answered under an Idempotency-Key: a repeat with the same fingerprint (SHA-256 of the request) gets the same answer. Without an answer the call is in flight as long as its hold is open.';
SELECT pg_extension_config_dump('idempotent_calls', '');
