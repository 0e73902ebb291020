-- Calls that never ended and were given up.

CREATE TABLE call_write_offs (
    organization_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    amount numeric NOT NULL,
    reason text NOT NULL,
    written_off_at timestamptz NOT NULL DEFAULT now(),
    written_off_by text NOT NULL DEFAULT session_user,
    PRIMARY KEY (organization_id, hold_id)
);
COMMENT ON TABLE call_write_offs IS
'Append-only: calls without an end that an operator closed without a charge; amount is the most in USD that they can have cost. A settlement that comes later is recorded all the same.';
SELECT pg_extension_config_dump('call_write_offs', '');
