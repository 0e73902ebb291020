-- Sealing: entries that can no longer change their neighbourhood are bound into a chain of digests.

CREATE FUNCTION ledger_horizon() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_first_write boolean := pg_current_xact_id_if_assigned() IS NULL;
    drawn bigint;
    mine xid8;
    oldest xid8;
    horizon holdfast.ledger_horizon;
BEGIN
    IF is_first_write THEN
        SELECT s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END INTO drawn FROM holdfast.ledger_seq s;
    END IF;
    -- Whoever drew a number up to drawn had a transaction id before ours. (The snapshot's xmax would not do: it follows
    -- the latest transaction that has ended, and running ones may lie beyond it.)
    mine := pg_current_xact_id();
    INSERT INTO holdfast.ledger_horizon DEFAULT VALUES ON CONFLICT DO NOTHING;
    SELECT * INTO horizon FROM holdfast.ledger_horizon FOR NO KEY UPDATE;
    oldest := pg_snapshot_xmin(pg_current_snapshot());
    IF horizon.next_xid <= oldest THEN
        horizon.seq := greatest(horizon.seq, horizon.next_seq);
        horizon.next_xid := NULL;
    END IF;
    IF is_first_write AND mine <= oldest THEN
        horizon.seq := greatest(horizon.seq, drawn);
        horizon.next_xid := NULL;
    ELSIF is_first_write AND horizon.next_xid IS NULL THEN
        horizon.next_seq := drawn;
        horizon.next_xid := mine;
    END IF;
    UPDATE holdfast.ledger_horizon SET seq = horizon.seq, next_seq = horizon.next_seq, next_xid = horizon.next_xid;
    RETURN horizon.seq;
END $$;
COMMENT ON FUNCTION ledger_horizon() IS
'The seq up to which no ledger entry can appear any more, because every transaction that was writing when it was drawn has ended. Waits for nobody: what is still in flight is left to a later call. In a transaction that has written before, it is what an earlier call found.';

-- Text by text with record quoting, so that no two entries read alike; none of it depends on a setting.
CREATE FUNCTION ledger_entry_digest(p_entry ai_usage_ledger) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.sha256(pg_catalog.convert_to(ROW(
        (p_entry).seq, (p_entry).id, (p_entry).organization_id, (p_entry).workflow_id, (p_entry).idempotency_key,
        (p_entry).hold_id, EXTRACT(epoch FROM (p_entry).created_at), (p_entry).price_id, (p_entry).prompt_tokens,
        (p_entry).completion_tokens, (p_entry).cached_tokens, (p_entry).cache_write_tokens,
        (p_entry).reasoning_tokens, (p_entry).cache_hit, (p_entry).fallback_used, (p_entry).anomaly_flag,
        (p_entry).estimated, (p_entry).kind, (p_entry).provider, (p_entry).model, (p_entry).user_id, (p_entry).cost,
        (p_entry).list_cost, (p_entry).reported_cost, (p_entry).overrun, (p_entry).total_ai_cost,
        (p_entry).metadata, (p_entry).api_key_id, (p_entry).community_id, (p_entry).tool,
        (p_entry).corrects)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION ledger_entry_digest(ai_usage_ledger) IS
'SHA-256 of an entry, format 1: all its columns as the text of a row, created_at as seconds since 1970 UTC, in UTF-8. The same under all settings, after dump and restore, and from PostgreSQL 14 on.';

CREATE FUNCTION ledger_seal_digest(p_seal ledger_seals, p_content bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(' ', 'holdfast seal',
        (p_seal).format, (p_seal).seal, (p_seal).from_seq, (p_seal).to_seq, (p_seal).entries, (p_seal).seqs,
        pg_catalog.encode((p_seal).previous_digest, 'hex'), pg_catalog.encode(p_content, 'hex')), 'UTF8'))
$$;
COMMENT ON FUNCTION ledger_seal_digest(ledger_seals, bytea) IS
'The digest that a seal must have; p_content is the SHA-256 of its entries'' digests, by seq.';

CREATE FUNCTION seal_ledger(p_most integer DEFAULT 100000) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    horizon bigint;
    seal holdfast.ledger_seals;
    part record;
    sealed integer := 0;
BEGIN
    IF p_most IS NULL OR p_most NOT BETWEEN 1 AND 1000000 THEN
        RAISE EXCEPTION 'p_most is %, outside 1 to 1000000.', coalesce(p_most::text, 'NULL')
            USING ERRCODE = 'PT400', DETAIL = json_build_object('field', 'p_most', 'value', p_most)::text;
    END IF;
    -- One session seals; the others have nothing to wait for.
    IF NOT pg_try_advisory_xact_lock('holdfast.ledger_seals'::regclass::oid::bigint) THEN
        RETURN 0;
    END IF;
    horizon := holdfast.ledger_horizon();
    SELECT * INTO seal FROM holdfast.ledger_seals s ORDER BY s.seal DESC LIMIT 1;
    seal.from_seq := (SELECT min(l.seq) FROM holdfast.ai_usage_ledger l
                      WHERE l.seq > coalesce(seal.to_seq, 0) AND l.seq <= horizon);
    FOR part IN
        SELECT max(e.seq) AS to_seq, count(*) AS entries, range_agg(int8range(e.seq, e.seq, '[]')) AS seqs,
               string_agg(substr(e.digest, 1, 8), ''::bytea ORDER BY e.seq) AS marks,
               sha256(string_agg(e.digest, ''::bytea ORDER BY e.seq)) AS content
        FROM (SELECT l.seq, holdfast.ledger_entry_digest(l) AS digest,
                     (row_number() OVER (ORDER BY l.seq) - 1) / 10000 AS part
              FROM holdfast.ai_usage_ledger l
              WHERE l.seq >= seal.from_seq AND l.seq < seal.from_seq + p_most AND l.seq <= horizon) e
        GROUP BY e.part ORDER BY e.part
    LOOP
        seal.from_seq := coalesce(seal.to_seq, 0) + 1;
        seal := (coalesce(seal.seal, 0) + 1, 1, seal.from_seq, part.to_seq, part.entries, part.seqs, part.marks,
                 coalesce(seal.digest, ''), NULL, clock_timestamp());
        seal.digest := holdfast.ledger_seal_digest(seal, part.content);
        INSERT INTO holdfast.ledger_seals SELECT seal.*;
        sealed := sealed + seal.entries;
    END LOOP;
    IF sealed > 0 THEN
        INSERT INTO holdfast.ledger_head (seal, digest) VALUES (seal.seal, seal.digest)
        ON CONFLICT (only_row) DO UPDATE SET seal = excluded.seal, digest = excluded.digest;
    END IF;
    RETURN sealed;
END $$;
COMMENT ON FUNCTION seal_ledger(integer) IS
'Seals up to p_most (1 to 1000000) of the ledger entries that are not sealed yet, oldest first, and returns how many it sealed. What transactions in flight could still join is left for a later call, and so is everything while another session seals: it waits for nobody and nobody waits for it. Raises PT400.';

CREATE FUNCTION ledger_seal_differences(p_seal ledger_seals,
                                        OUT seq bigint, OUT entry_id uuid, OUT organization_id uuid, OUT problem text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH sealed AS (
        SELECT n.seq, substr((p_seal).marks, (8 * row_number() OVER (ORDER BY n.seq) - 7)::integer, 8) AS mark
        FROM unnest((p_seal).seqs) r, generate_series(lower(r), upper(r) - 1) n(seq)
    ), present AS (
        SELECT l.seq, l.id, l.organization_id, substr(holdfast.ledger_entry_digest(l), 1, 8) AS mark
        FROM holdfast.ai_usage_ledger l WHERE l.seq BETWEEN (p_seal).from_seq AND (p_seal).to_seq
    ), compared AS (
        SELECT coalesce(s.seq, p.seq) AS seq, p.id, p.organization_id, s.mark AS sealed_mark, p.mark,
               coalesce(bool_or(s.mark = p.mark) OVER (PARTITION BY coalesce(s.seq, p.seq)), false) AS is_there
        FROM sealed s FULL JOIN present p ON p.seq = s.seq
    )
    SELECT c.seq, c.id, c.organization_id,
           CASE WHEN c.id IS NULL THEN 'the entry is missing'
                WHEN c.sealed_mark IS NULL OR c.is_there THEN 'the entry was inserted'
                ELSE 'the entry was altered' END
    FROM compared c WHERE c.mark IS DISTINCT FROM c.sealed_mark ORDER BY c.seq, c.id
$$;
COMMENT ON FUNCTION ledger_seal_differences(ledger_seals) IS
'The entries in which the ledger differs from what was sealed.';

CREATE FUNCTION ledger_seal_contents(p_after bigint, p_most integer,
                                     OUT stored ledger_seals, OUT content bytea, OUT marks bytea)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH s AS (
        SELECT t, row_number() OVER (ORDER BY t.seal) AS place
        FROM holdfast.ledger_seals t WHERE t.seal > p_after ORDER BY t.seal LIMIT p_most
    ), entries AS (
        SELECT width_bucket(l.seq, b.from_seqs) AS place, holdfast.ledger_entry_digest(l) AS digest, l.seq, l.id
        FROM (SELECT array_agg((s.t).from_seq ORDER BY s.place) AS from_seqs,
                     array_agg((s.t).to_seq ORDER BY s.place) AS to_seqs FROM s) b, holdfast.ai_usage_ledger l
        WHERE l.seq BETWEEN (SELECT min((s.t).from_seq) FROM s) AND (SELECT max((s.t).to_seq) FROM s)
          AND l.seq <= b.to_seqs[width_bucket(l.seq, b.from_seqs)]
    ), contents AS (
        SELECT e.place, sha256(string_agg(e.digest, ''::bytea ORDER BY e.seq, e.id)) AS content,
               string_agg(substr(e.digest, 1, 8), ''::bytea ORDER BY e.seq, e.id) AS marks
        FROM entries e GROUP BY e.place
    )
    SELECT s.t, coalesce(c.content, sha256('')), coalesce(c.marks, '')
    FROM s LEFT JOIN contents c USING (place) ORDER BY s.place
$$;
COMMENT ON FUNCTION ledger_seal_contents(bigint, integer) IS
'Up to p_most seals after p_after, each with the digest of its entries and their marks as the ledger has them now.';

CREATE FUNCTION verify_ledger(p_digest bytea DEFAULT NULL, OUT seal bigint, OUT seq bigint, OUT entry_id uuid,
                              OUT organization_id uuid, OUT problem text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last holdfast.ledger_seals;
    stored holdfast.ledger_seals;
    head holdfast.ledger_head;
    this record;
    is_right boolean;
BEGIN
    last.seal := 0; last.to_seq := 0; last.digest := '';
    RETURN QUERY SELECT NULL::bigint, l.seq, l.id, l.organization_id, 'the entry was inserted'
                 FROM holdfast.ai_usage_ledger l WHERE l.seq < 1;
    LOOP
        FOR this IN SELECT * FROM holdfast.ledger_seal_contents(last.seal, 50) LOOP
            stored := this.stored;
            seal := stored.seal; seq := NULL; entry_id := NULL; organization_id := NULL;
            IF stored.seal <> last.seal + 1 THEN
                problem := format('the chain is broken: seals %s to %s are missing', last.seal + 1, stored.seal - 1);
                RETURN NEXT;
            ELSIF stored.previous_digest <> last.digest OR stored.from_seq <> last.to_seq + 1 THEN
                problem := 'the chain is broken: the seal does not follow the one before';
                RETURN NEXT;
            END IF;
            is_right := stored.digest = holdfast.ledger_seal_digest(stored, this.content);
            IF NOT is_right THEN
                RETURN QUERY SELECT stored.seal, d.* FROM holdfast.ledger_seal_differences(stored) d;
                is_right := FOUND;
            ELSE
                is_right := stored.marks = this.marks;
            END IF;
            IF NOT is_right THEN
                problem := 'the seal was altered';
                RETURN NEXT;
            END IF;
            last := stored;
        END LOOP;
        EXIT WHEN NOT FOUND;
    END LOOP;
    seq := NULL; entry_id := NULL; organization_id := NULL;
    SELECT * INTO head FROM holdfast.ledger_head;
    IF coalesce(head.seal, 0) <> last.seal THEN
        seal := least(head.seal, last.seal);
        problem := format('the chain was cut: its last seal is %s and should be %s', last.seal, coalesce(head.seal, 0));
        RETURN NEXT;
    ELSIF head.digest <> last.digest THEN
        seal := last.seal;
        problem := 'the seal was altered: its digest is not the one that was noted apart';
        RETURN NEXT;
    END IF;
    IF p_digest IS NOT NULL AND NOT EXISTS (SELECT FROM holdfast.ledger_seals s WHERE s.digest = p_digest) THEN
        seal := NULL;
        problem := format('no seal has the digest %s', encode(p_digest, 'hex'));
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION verify_ledger(bytea) IS
'Computes every seal anew and returns one row for each problem, oldest first: an entry that was altered, is missing or was inserted after it was sealed, a seal that was altered, a chain that is broken or was cut. No row: the sealed ledger is as it was. p_digest is a seal''s digest that was noted elsewhere: it must still be in the chain.';
