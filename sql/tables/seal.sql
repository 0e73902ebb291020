-- The ledger's seals: a chain of SHA-256 digests over ranges of entries.

CREATE TABLE ledger_seals (
    seal bigint PRIMARY KEY,
    format smallint NOT NULL,
    from_seq bigint NOT NULL,
    to_seq bigint NOT NULL,
    entries integer NOT NULL,
    seqs int8multirange NOT NULL,
    marks bytea NOT NULL,
    previous_digest bytea NOT NULL,
    digest bytea NOT NULL,
    sealed_at timestamptz NOT NULL
);
COMMENT ON TABLE ledger_seals IS
'Append-only. Each seal covers the ledger entries from from_seq to to_seq: seqs are those that were there, marks the first 8 bytes of each one''s SHA-256 digest (by seq), digest the SHA-256 of the seal''s own figures, the entries'' full digests and previous_digest. format names the columns an entry''s digest is made of. A digest noted elsewhere proves everything up to its seal.';
SELECT pg_extension_config_dump('ledger_seals', '');

CREATE TABLE ledger_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seal bigint NOT NULL,
    digest bytea NOT NULL
);
COMMENT ON TABLE ledger_head IS 'The last seal, kept apart so that a chain which was cut at its end is noticed.';
SELECT pg_extension_config_dump('ledger_head', '');

CREATE TABLE ledger_horizon (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL DEFAULT 0,
    next_seq bigint,
    next_xid xid8
);
COMMENT ON TABLE ledger_horizon IS
'No entry with a seq up to seq can appear any more; none up to next_seq can once every transaction before next_xid has ended. Not dumped: transactions are numbered anew where a dump is restored.';
SELECT pg_extension_config_dump('ledger_horizon', 'WHERE false');
